//! Any receiver of HTTP: what stands in requests, and what statuses mean.

use super::{Rig, batch, is_free};
use crate::support::web::{Receiver, says};
use forebay::sink::Sent;

#[test]
fn lines_and_arrays_come_with_the_headers_that_were_asked_for() {
    let receiver = Receiver::start(|_| says(204, ""));
    for (body, payloads, expected, kind) in [
        ("lines", ["{\"a\":1}\n", "{\"a\":2}\n"], "{\"a\":1}\n{\"a\":2}\n", "application/x-ndjson"),
        ("array", ["{\"a\":1}", "{\"a\":2}"], "[{\"a\":1},{\"a\":2}]", "application/json"),
    ] {
        for compression in ["none", "gzip", "zstd"] {
            let mut rig = Rig::new(&format!(
                "[http]\nurl = '{}/in?key=1'\nmethod = 'PUT'\nbody = '{body}'\nrequest.compression = '{compression}'\n\
                 headers = {{ X-Tenant = 'blue' }}\nauth.bearer_token = 'word'",
                receiver.url()
            ));
            let batch = batch(payloads.map(str::to_owned));
            assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
            is_free(batch);
            let request = receiver.requests().pop().unwrap();
            assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/in?key=1"));
            assert_eq!((request.text().as_str(), request.header("content-type")), (expected, kind));
            assert_eq!(
                (request.header("x-tenant"), request.header("authorization")),
                ("blue", "Bearer word")
            );
            let encoding = if compression == "none" { "" } else { compression };
            assert_eq!(request.header("content-encoding"), encoding);
            assert!(request.header("user-agent").starts_with("forebay/"));
        }
    }
}

#[test]
fn what_is_refused_is_found_by_halving_and_the_rest_goes_on() {
    let receiver = Receiver::start(|request| match request.text().contains("poison") {
        true => says(422, "this\nis poison"),
        false => says(200, ""),
    });
    let mut rig = Rig::new(&format!("http.url = '{}'", receiver.url()));
    let batch = batch(
        (0..100).map(|number| if number % 40 == 7 { "poison\n".into() } else { format!("{number}\n") }),
    );
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [7, 47, 87]);
    assert_eq!(refused[0].reason, format!("{} refused: 422: this is poison", receiver.url()));
    let taken: usize = receiver
        .requests()
        .iter()
        .filter(|r| !r.text().contains("poison"))
        .map(|r| r.text().lines().count())
        .sum();
    assert_eq!(taken, 97);
}
