//! Every encryption type of a ticket with every one of a session key, by clients of three makes. All go through but
//! curl with a session key of RC4: it does not ask for an order of messages, and with RC4 nobody else looks for
//! one that comes twice.

use super::*;
use crate::kerberos::fleet::{self, Machines};
use crate::support::lab::{AES128, AES256_SHA2};
use forebay::kerberos::Etype;

const TYPES: [(&str, Etype); 4] = [
    (AES256, Etype::AES256_SHA1),
    (AES128, Etype::AES128_SHA1),
    (AES256_SHA2, Etype::AES256_SHA384),
    (RC4, Etype::RC4),
];

#[test]
fn every_type_of_ticket_and_of_session_key_goes_through() {
    const TEST: &str = "every_type_of_ticket_and_of_session_key_goes_through";
    let (Some((lab, _)), Some(python)) = (lab(TEST), python(TEST)) else { return };
    if find("curl").is_none() {
        return println!("SKIP {TEST}: curl is not installed");
    }
    let all = TYPES.map(|(name, _)| name).join(" ");
    let services = TYPES.map(|(name, _)| {
        let service = lab.service(&[name]);
        lab.administer(&format!("setstr {service} session_enctypes \"{all}\"\n"));
        service
    });
    let mut setting = Setting::new(PLAIN, &lab.keytab(&services.each_ref().map(String::as_str)));
    let (mut record, mut delivered) = (0, 0);
    for ((ticket, _), service) in TYPES.into_iter().zip(&services) {
        setting.host = service.split(['/', '@']).nth(1).unwrap().into();
        for (session, etype) in TYPES {
            let (client, machines) = (lab.client_with(&[etype]), Machines::new(&lab, 1));
            client.ticket(service);
            let held = String::from_utf8(client.command("klist").arg("-e").output().unwrap().stdout).unwrap();
            let has = |line: &str| line.contains("skey") && line.contains(session) && line.ends_with(ticket);
            assert!(held.lines().any(|line| has(line.trim_end())), "{ticket}, {session}: {held}");

            let identified = setting.curl(&client, &host::written(Header::default(), Message::Identify));
            assert_eq!(
                identified.contains("HTTP/1.1 200 OK"),
                session != RC4,
                "{ticket}, {session}: {identified}"
            );

            record += 1;
            setting.deliver(&python, &client, "pypsrp-kerberos", record);

            let url = format!("http://{}:{}{WEC}", setting.host, setting.site.port);
            let to = format!("127.0.0.1:{}", setting.site.port);
            let more = ["-n", "1", "--events", "6", "--batch", "3", "--connect", &to];
            let more = [&more[..], &["--service", service, "--etype", session]].concat();
            let (code, report) = fleet::told(&mut machines.fleet(&lab, &url, &more));
            assert_eq!(
                (code, &report["acknowledged"]),
                (Some(0), &6.into()),
                "{ticket}, {session}: {report}"
            );
            delivered += 6;
        }
    }
    eventually("all is in the file", || setting.site.events().len() as u64 == record + delivered);
    assert_eq!(findings(&told(setting.site.path())), ["127.0.0.1 cannot sign in with Kerberos"]);
    assert_eq!(setting.told_of("did not ask for the order of messages", "127.0.0.1"), 1);
}
