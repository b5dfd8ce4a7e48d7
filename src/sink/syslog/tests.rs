//! The sink against receivers in this process: quiet ones, and some that misbehave.

use super::*;
use crate::sink::receiver::tests::{Reports, batch, sink_of};
use crate::sink::{SendError, Sent};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

fn syslog(text: &str) -> (Box<dyn Sink>, Reports) {
    sink_of(&format!("syslog = {{ {text} }}"))
}

/// Takes so many bytes of a connection and closes it.
async fn take(listener: &TcpListener, bytes: usize) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut taken = vec![0; bytes];
    stream.read_exact(&mut taken).await.unwrap();
    taken
}

#[tokio::test]
async fn a_batch_is_confirmed_when_the_other_end_has_it_and_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut sink, reports) = syslog(&format!("address = '{}'", listener.local_addr().unwrap()));
    let one = batch(&["<14>1 a", "<14>1 bc"]);
    let other = batch(&["<14>1 d"]);
    let expected = b"7 <14>1 a8 <14>1 bc7 <14>1 d";
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = vec![0; expected.len()];
        stream.read_exact(&mut taken).await.unwrap();
        (taken, stream)
    };
    let sender = async {
        assert_eq!(sink.send(&one).await, Ok(Sent::Confirmed));
        assert_eq!(sink.send(&other).await, Ok(Sent::Confirmed));
    };
    let ((taken, _stream), ()) = tokio::join!(receiver, sender);
    assert_eq!(taken, expected);
    assert_eq!(reports.taken(), Vec::<String>::new());
    assert_eq!(Arc::strong_count(&one), 1, "the lane can use its buffers again");
    assert_eq!(sink.close().await, Ok(()));
}

#[tokio::test]
async fn a_receiver_that_accepts_and_leaves_has_confirmed_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut sink, reports) = syslog(&format!("address = '{}'", listener.local_addr().unwrap()));
    let one = batch(&["<14>1 a"]);
    let receiver = async {
        drop(listener.accept().await.unwrap());
        take(&listener, 9).await
    };
    let sender = async {
        let error = sink.send(&one).await.unwrap_err();
        assert!(matches!(error, SendError::Retry { .. }), "{error}");
        assert!(reports.taken()[0].contains("closed the connection"), "{:?}", reports.taken());
        // The receiver takes it and leaves too: again nothing is sure.
        sink.send(&one).await.unwrap_err();
    };
    let (taken, ()) = tokio::join!(receiver, sender);
    assert_eq!(taken, b"7 <14>1 a");
}

#[tokio::test]
async fn a_receiver_that_hangs_is_left_for_the_next() {
    // Nobody accepts: the kernel takes what fits into its buffers.
    let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = format!(
        "address = ['{}', '{}'], confirm_timeout = '300ms', message_size_max = '16MiB'",
        hung.local_addr().unwrap(),
        good.local_addr().unwrap()
    );
    let (mut sink, reports) = syslog(&addresses);
    let long = "x".repeat(12 << 20);
    let one = batch(&[&long]);
    let begun = Instant::now();
    let error = sink.send(&one).await.unwrap_err();
    assert!(error.to_string().contains("takes no more"), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(reports.taken()[0].contains("confirm_timeout"), "{:?}", reports.taken());
    let receiver = async {
        let (mut stream, _) = good.accept().await.unwrap();
        let mut taken = vec![0; long.len() + 9];
        stream.read_exact(&mut taken).await.unwrap();
        (taken, stream)
    };
    let (_, sent) = tokio::join!(receiver, sink.send(&one));
    assert_eq!(sent, Ok(Sent::Confirmed));
}

#[tokio::test]
async fn one_that_is_not_there_is_told_with_what_to_do_and_the_next_is_tried_at_once() {
    let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let (mut sink, reports) = syslog(&format!("address = ['{nobody}', '{}']", good.local_addr().unwrap()));
    let one = batch(&["<14>1 a"]);
    let receiver = async {
        let (mut stream, _) = good.accept().await.unwrap();
        stream.read_exact(&mut [0; 9]).await.unwrap();
        stream
    };
    let (_stream, sent) = tokio::join!(receiver, sink.send(&one));
    assert_eq!(sent, Ok(Sent::Confirmed));
    let told = reports.taken();
    assert!(told.len() == 1 && told[0].contains("output `siem` cannot deliver to 127.0.0.1:"), "{told:?}");
    assert!(told[0].contains("nobody listens there"), "{told:?}");

    let (mut sink, reports) = syslog("address = 'nobody.invalid:514'");
    sink.send(&one).await.unwrap_err();
    assert!(reports.taken()[0].contains("name service"), "{:?}", reports.taken());
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_the_rest_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut sink, _) = syslog(&format!("address = '{address}', message_size_max = '480', framing = 'line'"));
    let long = "x".repeat(481);
    let one = batch(&["<14>1 a", &long, "<14>1 b"]);
    let receiver = async {
        // Cut once: what was refused is refused once all the same.
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = vec![0; 16];
        stream.read_exact(&mut taken).await.unwrap();
        (taken, stream)
    };
    let sender = async {
        sink.send(&one).await.unwrap_err();
        sink.send(&one).await
    };
    let ((taken, _stream), sent) = tokio::join!(receiver, sender);
    assert_eq!(taken, b"<14>1 a\n<14>1 b\n");
    let Ok(Sent::Partly(refused)) = sent else { panic!("{sent:?}") };
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].item, 1);
    assert!(refused[0].reason.contains("481 bytes"), "{refused:?}");
}

#[tokio::test]
async fn a_future_that_is_dropped_half_way_takes_its_connection_along() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut sink, _) = syslog(&format!("address = '{address}', message_size_max = '16MiB'"));
    let long = "x".repeat(12 << 20);
    let one = batch(&[&long]);
    let dropped = tokio::time::timeout(Duration::from_millis(100), sink.send(&one)).await;
    assert!(dropped.is_err());
    let (mut first, _) = listener.accept().await.unwrap();
    let receiver = async {
        let mut half = Vec::new();
        // Its end, or that it was reset: in either case nobody writes on.
        let _ = first.read_to_end(&mut half).await;
        assert!(half.len() < long.len());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = vec![0; long.len() + 9];
        stream.read_exact(&mut taken).await.unwrap();
        assert!(taken.starts_with(b"12582912 x"));
        stream
    };
    let (_stream, sent) = tokio::join!(receiver, sink.send(&one));
    assert_eq!(sent, Ok(Sent::Confirmed));
}

#[tokio::test]
async fn a_connection_that_was_left_while_it_was_idle_is_made_anew_without_a_word() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut sink, reports) = syslog(&format!("address = '{}'", listener.local_addr().unwrap()));
    for text in ["<14>1 a", "<14>1 b"] {
        let one = batch(&[text]);
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Receivers may talk; it has no meaning.
            stream.write_all(b"220 hello\r\n").await.unwrap();
            stream.read_exact(&mut [0; 9]).await.unwrap();
            stream
        };
        let (stream, sent) = tokio::join!(receiver, sink.send(&one));
        assert_eq!(sent, Ok(Sent::Confirmed));
        drop(stream);
        // Its end comes on its own way.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reports.taken(), Vec::<String>::new());
}

#[tokio::test]
async fn datagrams_are_a_message_each_and_nobody_at_the_port_is_told() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (mut sink, reports) = syslog(&format!("address = '{address}', transport = 'udp'"));
    let long = "x".repeat(9000);
    let one = batch(&["<14>1 a", &long, "<14>1 b\nc"]);
    let Ok(Sent::Partly(refused)) = sink.send(&one).await else { panic!() };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [1]);
    let mut bytes = [0; 100];
    for expected in [&b"<14>1 a"[..], b"<14>1 b\nc"] {
        let length = socket.recv(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..length], expected);
    }
    drop(socket);
    let error = sink.send(&batch(&["<14>1 d"])).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
    assert!(reports.taken()[0].contains("nobody listens there"), "{:?}", reports.taken());
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    for (text, key) in [
        ("address = 'siem'", "address"),
        ("address = []", "address"),
        ("address = 'a:1', transport = 'udp', tls = {}", "tls"),
        ("address = 'a:1', transport = 'udp', framing = 'line'", "framing"),
        ("address = 'a:1', transport = 'udp', message_size_max = '64KiB'", "message_size_max"),
        ("address = 'a:1', message_size_max = '100'", "message_size_max"),
        ("address = 'a:1', confirm_timeout = '0s'", "confirm_timeout"),
        ("address = 'a:1', tls.certificate = '/x'", "tls.certificate"),
        ("address = 'a:1', tls.key = '/x'", "tls.key"),
        ("address = 'a:1', tls.server_name = 'a b'", "tls.server_name"),
        ("address = 'a:1', header.app_name = '{'", "header.app_name"),
    ] {
        let config: Config = toml::from_str::<crate::sink::SinkConfig>(&format!("syslog = {{ {text} }}"))
            .unwrap()
            .syslog
            .unwrap();
        assert_eq!(config.open().map(|_| ()).unwrap_err().key(), key, "{text}");
    }
}
