//! Brokers behind TLS.

use super::*;
use crate::support::authority::Authority;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// TLS in front of a broker that has none. It ends with the test's process.
pub(super) struct Front {
    pub(super) port: u16,
    /// Its certificate, which is also its authority's.
    pub(super) pem: String,
}

impl Front {
    pub(super) fn before(broker: u16, port: u16) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        let mut client = acceptor.accept(client).await?;
                        let mut broker = TcpStream::connect(("127.0.0.1", broker)).await?;
                        tokio::io::copy_bidirectional(&mut client, &mut broker).await
                    });
                }
            });
        });
        Self { port, pem: own.cert.pem() }
    }
}

#[test]
fn a_broker_is_trusted_by_its_certificate_and_a_new_list_of_authorities_counts_without_a_restart() {
    const TEST: &str =
        "a_broker_is_trusted_by_its_certificate_and_a_new_list_of_authorities_counts_without_a_restart";
    let folder = tempfile::tempdir().unwrap();
    let (port, front) = (free_port(), free_port());
    let Some(broker) = Tansu::behind(TEST, folder.path(), Place::HERE, Store::Memory, (port, front)) else {
        return;
    };
    let front = Front::before(broker.port, front);
    let node = Node::new(front.port, "topic = 'windows'\ntls.ca = ['other.pem', 'kafka.pem']", "");
    Authority::new("other").set_up(node.path());
    for name in ["other.pem", "kafka.pem"] {
        fs::copy(node.path().join("ca.pem"), node.path().join(name)).unwrap();
    }
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let events = batch(&host, 1..=50);
    assert!(host.deliver(&offered, &events, &bookmark("Security", 50)).unwrap().is_ack());
    eventually("it is told", || told(node.path()).contains("does not agree on TLS with its Kafka brokers"));
    fs::write(node.path().join("kafka.pem"), &front.pem).unwrap();
    node.confirms(50);
    node.stops(running);
    let probed = forebay(node.path(), &["check", "--probe", "pipeline.toml"]).output().unwrap();
    assert_eq!(probed.status.code(), Some(0), "{}", told(node.path()));
}
