//! The sink against receivers in this process that answer by the book, late, in another order, or not at all.

use super::*;
use crate::sink::receiver::tests::{Reports, batch, sink_of};
use frame::Frame;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OPENED: &str = "200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog";

async fn relp(more: &str) -> (TcpListener, Box<dyn Sink>, Reports) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sink, reports) = sink_of(&format!("relp = {{ address = '{address}', {more} }}"));
    (listener, sink, reports)
}

/// The receiver's end.
struct Peer {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        Self { stream: listener.accept().await.unwrap().0, bytes: Vec::new() }
    }

    /// Accepted, and the opening answered.
    async fn open(listener: &TcpListener) -> Self {
        let mut peer = Self::accept(listener).await;
        let (txnr, command, data) = peer.next().await.unwrap();
        assert_eq!((txnr, command.as_str()), (1, "open"));
        assert!(data.contains("relp_version=0") && data.contains("commands=syslog"), "{data}");
        peer.answer(1, OPENED).await;
        peer
    }

    async fn next(&mut self) -> Option<(u32, String, String)> {
        loop {
            if let Some((frame, taken)) = Frame::parse(&self.bytes).unwrap() {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let found = (frame.txnr, text(frame.command), text(frame.data));
                self.bytes.drain(..taken);
                return Some(found);
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.bytes.extend_from_slice(&more[..count]),
            }
        }
    }

    async fn answer(&mut self, txnr: u32, data: &str) {
        let mut out = Vec::new();
        Frame { txnr, command: b"rsp", data: data.as_bytes() }.write(&mut out);
        self.say(&out).await;
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Answers each event with what `judge` says of it, until the other end closes; what it was sent.
    async fn serve(mut self, judge: impl Fn(&str) -> &'static str) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some((txnr, command, data)) = self.next().await {
            if command == "close" {
                self.answer(txnr, "200 OK").await;
                break;
            }
            let answer = judge(&data);
            self.answer(txnr, answer).await;
            seen.push(data);
        }
        seen
    }
}

#[tokio::test]
async fn events_are_confirmed_by_their_answers_within_the_window_in_any_order() {
    let (listener, mut sink, reports) = relp("window = 3").await;
    let one = batch(&["a", "b", "c", "d"]);
    let receiver = async {
        let mut peer = Peer::open(&listener).await;
        let mut numbers = Vec::new();
        for expected in ["a", "b", "c"] {
            let (txnr, command, data) = peer.next().await.unwrap();
            assert_eq!((command.as_str(), data.as_str()), ("syslog", expected));
            numbers.push(txnr);
        }
        assert_eq!(numbers, [2, 3, 4]);
        let early = tokio::time::timeout(Duration::from_millis(50), peer.next()).await;
        assert!(early.is_err(), "the window holds");
        peer.answer(3, "200 OK").await;
        assert_eq!(peer.next().await.unwrap().2, "d");
        for txnr in [5, 2, 4] {
            peer.answer(txnr, "200 OK").await;
        }
        peer.serve(|_| "200 OK").await
    };
    let sender = async {
        assert_eq!(sink.send(&one).await, Ok(Sent::Confirmed));
        assert_eq!(Arc::strong_count(&one), 1, "the lane can use its buffers again");
        assert_eq!(sink.send(&batch(&["e"])).await, Ok(Sent::Confirmed));
        assert_eq!(sink.close().await, Ok(()));
    };
    let (rest, ()) = tokio::join!(receiver, sender);
    assert_eq!(rest, ["e"]);
    assert_eq!(reports.taken(), Vec::<String>::new());
}

#[tokio::test]
async fn after_a_cut_what_has_no_answer_is_sent_again_and_nothing_else() {
    let (listener, mut sink, reports) = relp("").await;
    let one = batch(&["a", "b", "c"]);
    let receiver = async {
        let mut peer = Peer::open(&listener).await;
        for _ in 0..3 {
            peer.next().await.unwrap();
        }
        peer.answer(3, "200 OK").await;
        // Half of an answer is none.
        peer.say(b"2 rsp 6 200").await;
        drop(peer);
        let mut peer = Peer::open(&listener).await;
        peer.next().await.unwrap();
        peer.say(b"0 serverclose 0\n").await;
        drop(peer);
        Peer::open(&listener).await.serve(|_| "200 OK").await
    };
    let sender = async {
        for _ in 0..2 {
            let error = sink.send(&one).await.unwrap_err();
            assert!(error.to_string().contains("closed the connection"), "{error}");
        }
        assert_eq!(sink.send(&one).await, Ok(Sent::Confirmed));
        assert_eq!(sink.close().await, Ok(()));
    };
    let (seen, ()) = tokio::join!(receiver, sender);
    assert_eq!(seen, ["a", "c"]);
    assert!(reports.taken().iter().all(|told| told.contains("closed the connection")));
}

#[tokio::test]
async fn an_event_that_is_never_taken_is_refused_in_the_receivers_words_and_the_others_go_on() {
    let (listener, mut sink, reports) = relp("message_size_max = '480'").await;
    let long = "x".repeat(481);
    let one = batch(&["good", "bad", &long, "good too"]);
    let receiver = async {
        let judge = |data: &str| if data == "bad" { "500 no such thing" } else { "200 OK" };
        Peer::open(&listener).await.serve(judge).await
    };
    let sender = async {
        for _ in 1..ATTEMPTS_BESIDE_OTHERS {
            let error = sink.send(&one).await.unwrap_err();
            assert!(error.to_string().contains("500 no such thing"), "{error}");
        }
        let sent = sink.send(&one).await;
        let Ok(Sent::Partly(refused)) = sent else { panic!("{sent:?}") };
        assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [1, 2]);
        assert!(refused[0].reason.contains("answered 500 no such thing"), "{refused:?}");
        assert!(refused[1].reason.contains("481 bytes"), "{refused:?}");
        assert_eq!(sink.close().await, Ok(()));
    };
    let (seen, ()) = tokio::join!(receiver, sender);
    assert_eq!(seen, ["good", "bad", "good too", "bad", "bad"]);
    assert!(reports.taken()[0].contains("answers events with an error"), "{:?}", reports.taken());
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_in_trouble_itself_and_is_tried_long_before_halves_are() {
    let (listener, mut sink, _) = relp("").await;
    let one = batch(&["a", "b"]);
    let receiver = async { Peer::open(&listener).await.serve(|_| "500 disk full").await };
    let sender = async {
        for attempt in 1..=ATTEMPTS_OF_NONE {
            let error = sink.send(&one).await.unwrap_err();
            let refused = matches!(error, SendError::Refused { .. });
            assert_eq!(refused, attempt == ATTEMPTS_OF_NONE, "{attempt}: {error}");
        }
        assert_eq!(sink.close().await, Ok(()));
    };
    let (seen, ()) = tokio::join!(receiver, sender);
    assert_eq!(seen.len(), 2 * ATTEMPTS_OF_NONE as usize);
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_left_with_a_finding() {
    let (listener, mut sink, reports) = relp("answer_timeout = '200ms'").await;
    let one = batch(&["a"]);
    let receiver = async {
        let mut peer = Peer::open(&listener).await;
        while peer.next().await.is_some() {}
    };
    let ((), sent) = tokio::join!(receiver, sink.send(&one));
    let error = sent.unwrap_err();
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
    assert!(reports.taken()[0].contains("`answer_timeout` is the patience"), "{:?}", reports.taken());
}

#[tokio::test]
async fn answers_that_make_no_sense_end_the_connection_and_confirm_nothing() {
    for (said, words) in [
        (&b"7 rsp 6 200 OK\n"[..], "answers to what it was not sent"),
        (b"2 syslog 1 x\n", "answers to what it was not sent"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not RELP"),
        (b"2 rsp 9999999 ", "not RELP"),
        (b"2 rsp 2 OK\n", "three digits"),
        (b"2 rsp 6 200 OKx", "ends with"),
        (&[0x15, 3, 3, 0, 2, 2, 40], "not RELP"),
    ] {
        let (listener, mut sink, reports) = relp("").await;
        let one = batch(&["a", "b"]);
        let receiver = async {
            let mut peer = Peer::open(&listener).await;
            peer.next().await.unwrap();
            peer.say(said).await;
            while peer.next().await.is_some() {}
            Peer::open(&listener).await.serve(|_| "200 OK").await
        };
        let sender = async {
            let error = sink.send(&one).await.unwrap_err();
            assert!(matches!(&error, SendError::Retry { reason, .. } if reason.contains(words)), "{error}");
            assert_eq!(sink.send(&one).await, Ok(Sent::Confirmed));
            assert_eq!(sink.close().await, Ok(()));
        };
        let (seen, ()) = tokio::join!(receiver, sender);
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(reports.taken().len(), 1);
    }
}

#[tokio::test]
async fn an_opening_that_is_not_one_is_told() {
    for (said, words) in [
        (&b"1 rsp 10 500 no way\n"[..], "refuses to open RELP: 500 no way"),
        (b"1 rsp 21 200 OK\nrelp_version=0\n", "without taking syslog messages"),
        (b"1 rsp 6 200 OK\n", "without taking syslog messages"),
        (b"0 serverclose 0\n", "closed the connection instead"),
        (b"2 rsp 6 200 OK\n", "closed the connection instead"),
        (b"", "closed the connection instead"),
        (b"220 smtp\r\n", "not RELP"),
    ] {
        let (listener, mut sink, reports) = relp("").await;
        let one = batch(&["a"]);
        let receiver = async {
            let mut peer = Peer::accept(&listener).await;
            peer.next().await.unwrap();
            peer.say(said).await;
        };
        let ((), sent) = tokio::join!(receiver, sink.send(&one));
        assert!(matches!(sent, Err(SendError::Retry { .. })), "{sent:?}");
        assert!(reports.taken()[0].contains(words), "{said:?}: {:?}", reports.taken());
    }
    // One that says nothing.
    let (_listener, mut sink, reports) = relp("connect_timeout = '200ms'").await;
    sink.send(&batch(&["a"])).await.unwrap_err();
    assert!(reports.taken()[0].contains("connect_timeout"), "{:?}", reports.taken());
}

#[tokio::test]
async fn a_goodbye_while_nothing_is_under_way_is_no_failure() {
    let (listener, mut sink, reports) = relp("").await;
    let receiver = async {
        let mut peer = Peer::open(&listener).await;
        let (txnr, ..) = peer.next().await.unwrap();
        peer.answer(txnr, "200 OK").await;
        peer.say(b"0 serverclose 0\n").await;
        Peer::open(&listener).await.serve(|_| "200 OK").await
    };
    let sender = async {
        assert_eq!(sink.send(&batch(&["a"])).await, Ok(Sent::Confirmed));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(sink.send(&batch(&["b"])).await, Ok(Sent::Confirmed));
        assert_eq!(sink.close().await, Ok(()));
    };
    let (seen, ()) = tokio::join!(receiver, sender);
    assert_eq!(seen, ["b"]);
    assert_eq!(reports.taken(), Vec::<String>::new());
}

#[tokio::test]
async fn a_future_that_is_dropped_half_way_takes_its_connection_along_and_keeps_the_answers() {
    let (listener, mut sink, _) = relp("").await;
    let one = batch(&["a", "b"]);
    let receiver = async {
        let mut peer = Peer::open(&listener).await;
        let (txnr, ..) = peer.next().await.unwrap();
        peer.answer(txnr, "200 OK").await;
        while peer.next().await.is_some() {}
        Peer::open(&listener).await.serve(|_| "200 OK").await
    };
    let sender = async {
        let dropped = tokio::time::timeout(Duration::from_millis(200), sink.send(&one)).await;
        assert!(dropped.is_err());
        assert_eq!(sink.send(&one).await, Ok(Sent::Confirmed));
        assert_eq!(sink.close().await, Ok(()));
    };
    let (seen, ()) = tokio::join!(receiver, sender);
    assert_eq!(seen, ["b"]);
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    for (text, key) in [
        ("address = 'siem'", "address"),
        ("address = 'a:1', window = 0", "window"),
        ("address = 'a:1', window = 100000", "window"),
        ("address = 'a:1', message_size_max = '1GiB'", "message_size_max"),
        ("address = 'a:1', answer_timeout = '10ms'", "answer_timeout"),
        ("address = 'a:1', header.structured_data.id = 'x'", "header.structured_data.id"),
    ] {
        let config: Config =
            toml::from_str::<crate::sink::SinkConfig>(&format!("relp = {{ {text} }}")).unwrap().relp.unwrap();
        assert_eq!(config.open().map(|_| ()).unwrap_err().key(), key, "{text}");
    }
}
