//! HTTP as such: where requests begin and end, and what keeps a connection.

use super::*;

/// With its connection kept.
fn kept(path: &str, body: &str) -> String {
    post(path, &format!("{SOAP}{}", SIGNED_IN.replace("close", "keep-alive")), body)
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces_and_behind_another() {
    let server = Server::start().await;
    let chunked = format!(
        "POST /b HTTP/1.1\r\nHost: wec\r\n{SOAP}{}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n3\r\ncde\r\n0\r\nX: y\r\n\r\n",
        SIGNED_IN.replace("close", "keep-alive")
    );
    let all = format!("\r\n{}{chunked}{}", kept("/a", "1"), post("/c", &format!("{SIGNED_IN}{SOAP}"), "123"));
    for piece in [1, 3, 7, 100, all.len()] {
        let mut stream = server.connect().await;
        stream.set_nodelay(true).unwrap();
        let (mut from, mut to) = stream.split();
        let sending = async {
            for piece in all.as_bytes().chunks(piece) {
                to.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let mut said = String::new();
        let (_, read) = tokio::join!(sending, from.read_to_string(&mut said));
        read.unwrap();
        let answered: Vec<&str> = said.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        assert_eq!(answered.len(), 3, "pieces of {piece}: {said}");
        for (answer, (path, length)) in answered.iter().zip([("/a", 1), ("/b", 5), ("/c", 3)]) {
            assert!(answer.ends_with(&format!(" {path} false UTF-16 {length}")), "{answer}");
        }
        assert!(answered[2].contains("connection: close\r\n") && !answered[1].contains("connection:"));
    }
    assert!(server.report.findings().is_empty());
}

#[tokio::test]
async fn who_waits_for_our_word_gets_it_when_its_body_is_wanted() {
    let server = Server::start().await;
    let expecting = |headers: &str, length: usize| {
        format!(
            "POST /a HTTP/1.1\r\nHost: wec\r\n{headers}{SOAP}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut stream = server.connect().await;
    stream.write_all(expecting(SIGNED_IN, 5).as_bytes()).await.unwrap();
    let said = answer(&mut stream).await;
    assert_eq!(said, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"12345").await.unwrap();
    assert!(answer(&mut stream).await.ends_with(" 5"));
    for (headers, length, status) in [("", 5, "401"), (SIGNED_IN, 1 << 20, "413")] {
        let mut stream = server.connect().await;
        stream.write_all(expecting(headers, length).as_bytes()).await.unwrap();
        let said = answer(&mut stream).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "what it would send now is no request");
    }
}

#[tokio::test]
async fn a_body_whose_end_is_in_doubt_ends_the_connection() {
    for (framing, status, word) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", "in chunks"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", "400", "two lengths"),
        ("Content-Length: five\r\n\r\n12345", "400", "no number"),
        ("Transfer-Encoding: gzip\r\n\r\n12345", "501", "not `chunked`"),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", "400", "no size"),
        ("Transfer-Encoding: chunked\r\n\r\n123456789\r\n", "400", "no size"),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "400", "longer than it says"),
    ] {
        let server = Server::start().await;
        let keep = SIGNED_IN.replace("close", "keep-alive");
        let request = format!("POST /a HTTP/1.1\r\nHost: wec\r\n{keep}{SOAP}{framing}");
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = answer(&mut stream).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{framing}: {said}");
        assert!(said.contains("connection: close\r\n"), "{said}");
        assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)), "it is closed");
        assert!(server.finding().contains(word), "{framing}");
    }
}

#[tokio::test]
async fn a_refused_request_does_not_end_a_connection_that_is_to_sign_in() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(post("/a", SOAP, "12345").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401 "));
    stream.write_all(kept("/a", "123").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.ends_with(" 3"), "its body was read to the end");
    let old = post("/a", &format!("{SOAP}{}", SIGNED_IN.replace("Connection: close\r\n", "")), "1");
    stream.write_all(old.replace("HTTP/1.1", "HTTP/1.0").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.contains("connection: close\r\n"));
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
