//! The sink against receivers in this process: quiet ones, and some that misbehave.

use super::*;
use crate::sink::receiver::tests::{Reports, batch, sink_of};
use crate::sink::{SendError, Sent};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as Blocking};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixDatagram, UnixListener};
use tokio::time::timeout;

fn socket(text: &str) -> (Box<dyn Sink>, Reports) {
    sink_of(&format!("socket = {{ {text} }}"))
}

fn at(path: &Path, more: &str) -> (Box<dyn Sink>, Reports) {
    socket(&format!("path = '{}'{more}", path.display()))
}

const MOMENT: Duration = Duration::from_millis(150);

/// As the lane does: what the format does not say of framing, the sink does.
fn framed(sink: &dyn Sink, text: &str, format: Payload) -> Vec<u8> {
    let (mut out, framing) = (Vec::new(), sink.framing(format));
    let start = framing.open(&mut out);
    out.extend_from_slice(text.as_bytes());
    framing.close(&mut out, start);
    out
}

#[tokio::test]
async fn over_a_unix_socket_a_batch_is_confirmed_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (mut sink, reports) = at(&path, "");
    let one = batch(&["a\n", "bc\n"]);
    let mut taken = [0; 5];
    let (mut stream, sent) = {
        let mut sending = sink.send(&one);
        // In the queue of connections, and then in that of a receiver that does not read.
        assert!(timeout(MOMENT, &mut sending).await.is_err());
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut taken[..3]).await.unwrap();
        assert!(timeout(MOMENT, &mut sending).await.is_err(), "part of it is read");
        stream.read_exact(&mut taken[3..]).await.unwrap();
        (stream, sending.await)
    };
    assert_eq!((sent, &taken), (Ok(Sent::Confirmed), b"a\nbc\n"));
    assert_eq!(Arc::strong_count(&one), 1, "the lane can use its buffers again");
    let other = batch(&["d\n"]);
    let (read, sent) = tokio::join!(stream.read_exact(&mut taken[..2]), sink.send(&other));
    assert_eq!((read.unwrap(), sent), (2, Ok(Sent::Confirmed)));
    assert_eq!(sink.close().await, Ok(()));
    assert_eq!(stream.read(&mut taken).await.unwrap(), 0);
    assert_eq!(reports.taken(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_receiver_had_not_read_when_it_died_is_sent_to_the_next_one_at_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (mut sink, reports) = at(&path, "");
    let one = batch(&["a\n", "b\n"]);
    let dying = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
    };
    let ((), sent) = tokio::join!(dying, sink.send(&one));
    assert!(matches!(sent, Err(SendError::Retry { .. })), "{sent:?}");
    assert!(reports.taken()[0].contains("closed the connection before"), "{:?}", reports.taken());
    drop(listener);
    sink.send(&one).await.unwrap_err();
    assert!(reports.taken()[1].contains("nobody listens there"), "{:?}", reports.taken());
    std::fs::remove_file(&path).unwrap();
    sink.send(&one).await.unwrap_err();
    assert!(reports.taken()[2].contains("there is no such socket"), "{:?}", reports.taken());
    let listener = UnixListener::bind(&path).unwrap();
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = [0; 4];
        stream.read_exact(&mut taken).await.unwrap();
        (taken, stream)
    };
    let ((taken, _stream), sent) = tokio::join!(receiver, sink.send(&one));
    assert_eq!((sent, &taken), (Ok(Sent::Confirmed), b"a\nb\n"));
}

#[tokio::test]
async fn a_receiver_that_does_not_read_is_left_and_one_that_lets_nobody_in_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (mut sink, reports) = at(&path, ", write_timeout = '300ms', connect_timeout = '300ms'");
    let long = "x".repeat(4 << 20);
    sink.send(&batch(&[&long])).await.unwrap_err();
    assert!(reports.taken()[0].contains("`write_timeout` is the patience"), "{:?}", reports.taken());
    rustix::net::listen(&listener, 0).unwrap();
    sink.send(&batch(&["a\n"])).await.unwrap_err();
    assert!(reports.taken()[1].contains("lets no connection in"), "{:?}", reports.taken());
}

#[tokio::test]
async fn abstract_names_are_sockets_too() {
    let name = format!("forebay-{}", std::process::id());
    let listener = UnixListener::bind(format!("\0{name}")).unwrap();
    let (mut sink, _) = socket(&format!("path = '@{name}'"));
    let one = batch(&["a\n"]);
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        stream
    };
    let (_stream, sent) = tokio::join!(receiver, sink.send(&one));
    assert_eq!(sent, Ok(Sent::Confirmed));

    let address = SocketAddr::from_abstract_name(format!("{name}-datagrams")).unwrap();
    let receiver = Blocking::bind_addr(&address).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let receiver = UnixDatagram::from_std(receiver).unwrap();
    let (mut sink, reports) = socket(&format!("path = '@{name}-datagrams', mode = 'datagram'"));
    let mut bytes = [0; 9];
    let (read, sent) = tokio::join!(receiver.recv(&mut bytes), sink.send(&one));
    assert_eq!((read.unwrap(), sent), (2, Ok(Sent::Confirmed)));
    drop(receiver);
    sink.send(&one).await.unwrap_err();
    assert!(reports.taken()[0].contains(&format!("{name}-datagrams: nobody listens there")));
}

#[tokio::test]
async fn datagrams_wait_for_a_slow_receiver_and_are_confirmed_when_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let (mut sink, reports) = at(&path, ", mode = 'datagram'");
    // More than the system queues.
    let texts: Vec<String> = (0..300).map(|number| format!("event {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let one = batch(&texts);
    let mut bytes = [0; 100];
    let mut sending = sink.send(&one);
    assert!(timeout(MOMENT, &mut sending).await.is_err());
    let reader = async {
        for text in &texts[..299] {
            let length = receiver.recv(&mut bytes).await.unwrap();
            assert_eq!(&bytes[..length], text.as_bytes());
        }
    };
    let sent = async { tokio::join!(timeout(MOMENT, &mut sending), reader).0 };
    assert!(sent.await.is_err(), "one is not read");
    assert_eq!(receiver.recv(&mut bytes).await.unwrap(), 9);
    assert_eq!(sending.await, Ok(Sent::Confirmed));
    assert_eq!(reports.taken(), Vec::<String>::new());
}

#[tokio::test]
async fn an_event_that_is_too_long_is_refused_with_the_limit_and_the_rest_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let (mut sink, _) = at(&path, ", mode = 'datagram', framing = 'line'");
    assert_eq!(framed(&*sink, "a", Payload::Length), b"a\n");
    let one = batch(&["a", &"x".repeat((1 << 20) + 1), "b"]);
    let reader = async {
        let mut bytes = [0; 9];
        for _ in 0..2 {
            assert_eq!(receiver.recv(&mut bytes).await.unwrap(), 1);
        }
    };
    let ((), sent) = tokio::join!(reader, sink.send(&one));
    let Ok(Sent::Partly(refused)) = sent else { panic!("{sent:?}") };
    assert_eq!(refused.iter().map(|refusal| refusal.item).collect::<Vec<_>>(), [1]);
    assert!(refused[0].reason.contains("`message_size_max` is 1048576"), "{refused:?}");
}

#[tokio::test]
async fn datagrams_that_died_with_their_receiver_are_sent_again_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let (mut sink, reports) = at(&path, ", mode = 'datagram'");
    let one = batch(&["a", "b"]);
    // Nobody tells us of the end of one with unread datagrams.
    let dying = async {
        assert_eq!(receiver.recv(&mut [0; 9]).await.unwrap(), 1);
        std::fs::remove_file(&path).unwrap();
        drop(receiver);
        UnixDatagram::bind(&path).unwrap()
    };
    let (receiver, sent) = tokio::join!(dying, sink.send(&one));
    assert!(matches!(sent, Err(SendError::Retry { .. })), "{sent:?}");
    assert!(reports.taken()[0].contains("another one took its place"), "{:?}", reports.taken());
    let reader =
        async { (receiver.recv(&mut [0; 9]).await.unwrap(), receiver.recv(&mut [0; 9]).await.unwrap()) };
    let (read, sent) = tokio::join!(reader, sink.send(&one));
    assert_eq!((read, sent), ((1, 1), Ok(Sent::Confirmed)));
    // One that is replaced while nothing is sent is not worth a word.
    std::fs::remove_file(&path).unwrap();
    let receiver = UnixDatagram::bind(&path).unwrap();
    let reader =
        async { (receiver.recv(&mut [0; 9]).await.unwrap(), receiver.recv(&mut [0; 9]).await.unwrap()) };
    let (read, sent) = tokio::join!(reader, sink.send(&one));
    assert_eq!((read, sent), ((1, 1), Ok(Sent::Confirmed)));
    assert_eq!(reports.taken().len(), 1);
    // One that does not read is left after a while.
    let (mut sink, reports) = at(&path, ", mode = 'datagram', write_timeout = '200ms'");
    sink.send(&one).await.unwrap_err();
    assert!(reports.taken()[0].contains("`write_timeout` is the patience"), "{:?}", reports.taken());
}

#[tokio::test]
async fn what_is_at_the_path_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "").unwrap();
    let _stream = UnixListener::bind(path("stream")).unwrap();
    let _datagrams = UnixDatagram::bind(path("datagrams")).unwrap();
    drop(UnixListener::bind(path("left")).unwrap());
    drop(UnixDatagram::bind(path("left too")).unwrap());
    for (name, mode, words) in [
        ("none", "stream", "there is no such socket; start the receiver"),
        ("none", "datagram", "there is no such socket"),
        ("file/x", "stream", "there is no such socket"),
        (".", "stream", "it is a folder"),
        (".", "datagram", "it is a folder"),
        ("file", "stream", "it is a file that is no socket"),
        ("file", "datagram", "it is a file that is no socket"),
        ("left", "stream", "nobody listens there"),
        ("left too", "datagram", "nobody listens there"),
        ("datagrams", "stream", "write `mode = \"datagram\"`"),
        ("stream", "datagram", "write `mode = \"stream\"`"),
    ] {
        let text = format!("path = '{}', mode = '{mode}'", path(name).display());
        let config = config(&text);
        let found: Vec<String> = config.probe("siem").await.iter().map(ToString::to_string).collect();
        assert!(found.len() == 1 && found[0].contains(words), "{text}: {found:?}");
        let (mut sink, reports) = socket(&text);
        let error = sink.send(&batch(&["a"])).await.unwrap_err();
        assert!(matches!(error, SendError::Retry { .. }), "{error}");
        assert_eq!(reports.taken(), found, "{text}");
    }
    for (name, mode) in [("stream", "stream"), ("datagrams", "datagram")] {
        let config = config(&format!("path = '{}', mode = '{mode}'", path(name).display()));
        assert_eq!(config.probe("siem").await, Vec::new());
    }
}

#[tokio::test]
async fn a_socket_that_this_user_may_not_write_to_is_told() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let config = config(&format!("path = '{}'", path.display()));
    // Of root, on this thread, what lets it write to whatever it likes.
    let all = capabilities(None).unwrap();
    let mut few = all;
    few.effective.remove(CapabilitySet::DAC_OVERRIDE);
    set_capabilities(None, few).unwrap();
    let found = config.probe("siem").await;
    set_capabilities(None, all).unwrap();
    assert!(found.len() == 1 && found[0].why == "this user may not write to it", "{found:?}");
}

#[tokio::test]
async fn over_tcp_events_go_as_they_are_framed() {
    for (framing, format, expected) in [
        ("", Payload::Line, &b"ab\ncde\n"[..]),
        ("", Payload::Length, b"\0\0\0\x02ab\0\0\0\x03cde"),
        ("", Payload::None, b"abcde"),
        ("framing = 'line', ", Payload::None, b"ab\ncde\n"),
        ("framing = 'length', ", Payload::Line, b"\0\0\0\x02ab\0\0\0\x03cde"),
        ("framing = 'octet-counting', ", Payload::Line, b"2 ab3 cde"),
        ("framing = 'octet_counting', ", Payload::Line, b"2 ab3 cde"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut sink, reports) =
            socket(&format!("{framing}address = '{address}', message_size_max = '1KiB'"));
        let [one, other] = ["ab", "cde"].map(|text| framed(&*sink, text, format));
        let long = "x".repeat(1025);
        let texts = [std::str::from_utf8(&one).unwrap(), &long, std::str::from_utf8(&other).unwrap()];
        let one = batch(&texts);
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut taken = vec![0; expected.len()];
            stream.read_exact(&mut taken).await.unwrap();
            // Receivers may talk; it has no meaning.
            stream.write_all(b"hello").await.unwrap();
            (taken, stream)
        };
        let ((taken, _stream), sent) = tokio::join!(receiver, sink.send(&one));
        assert_eq!(taken, expected, "{framing}");
        let Ok(Sent::Partly(refused)) = sent else { panic!("{sent:?}") };
        assert_eq!(refused[0].item, 1);
        assert_eq!(reports.taken(), Vec::<String>::new());
    }
}

fn config(text: &str) -> Config {
    toml::from_str::<crate::sink::SinkConfig>(&format!("socket = {{ {text} }}")).unwrap().socket.unwrap()
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    for (text, key) in [
        ("", "address"),
        ("address = 'agent'", "address"),
        ("address = []", "address"),
        ("address = 'a:1', path = '/run/a'", "path"),
        ("address = 'a:1', mode = 'datagram'", "mode"),
        ("address = 'a:1', message_size_max = '100'", "message_size_max"),
        ("address = 'a:1', message_size_max = '17MiB'", "message_size_max"),
        ("address = 'a:1', write_timeout = '0s'", "write_timeout"),
        ("address = 'a:1', connect_timeout = '2h'", "connect_timeout"),
        ("address = 'a:1', tls.key = '/x'", "tls.key"),
        ("path = '/run/a', mode = 'datagram', message_size_max = '2MiB'", "message_size_max"),
        ("path = '/run/a', tls = {}", "tls"),
        ("path = ''", "path"),
        ("path = '/run/'", "path"),
        ("path = '/run/a', mode = 'datagram', framing = 'length'", "framing"),
        ("path = '/run/a', mode = 'datagram', framing = 'octet-counting'", "framing"),
    ] {
        assert_eq!(config(text).open().map(|_| ()).unwrap_err().key(), key, "{text}");
    }
    for text in [
        "address = ['a:1', 'b:1'], tls = {}",
        "path = '@a', framing = 'length'",
        "path = 'a', mode = 'datagram', framing = 'line'",
    ] {
        assert!(config(text).open().is_ok(), "{text}");
    }
}
