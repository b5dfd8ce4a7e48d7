//! HTTPS: whose certificate is taken, and one that ends while events flow.

use super::{Rig, batch};
use crate::support::web::{Receiver, says};
use forebay::sink::{SendError, Sent};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::{Arc, Mutex};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn server(&self, last_year: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}

#[test]
fn a_certificate_that_ends_while_it_runs_is_told_and_events_wait() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
    let shown = Arc::new(Mutex::new(authority.server(2090)));
    // Each connection serves one request, so that the next one meets what is shown then.
    let receiver = Receiver::over(Some(Arc::clone(&shown)), |_| {
        crate::support::web::Reply::Status(200, vec![("Connection", "close".into())], String::new())
    });
    let settings = format!(
        "http = {{ url = 'https://localhost:{}', tls.ca = ['{}'], request.compression = 'zstd' }}",
        receiver.port,
        folder.path().join("ca.pem").display()
    );
    let mut rig = Rig::new(&settings);
    let one = batch(["{}\n".to_owned()]);
    assert_eq!(rig.send(&one), Ok(Sent::Confirmed), "{:?}", rig.told());
    *shown.lock().unwrap() = authority.server(2020);
    assert!(matches!(rig.send(&one), Err(SendError::Retry { .. })));
    rig.has_told("its certificate has ended");
    *shown.lock().unwrap() = authority.server(2091);
    assert_eq!(rig.deliver(&one), Sent::Confirmed);
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[0].text()), (2, "{}\n".to_owned()));
    assert_eq!(requests[0].header("content-encoding"), "zstd");
}

#[test]
fn plain_http_at_a_port_of_tls_and_the_other_way_round_are_told() {
    let plain = Receiver::start(|_| says(200, ""));
    let mut rig = Rig::new(&format!(
        "http = {{ url = 'https://127.0.0.1:{}', tls.insecure_any_certificate = true }}",
        plain.port
    ));
    assert!(matches!(rig.send(&batch(["{}\n".to_owned()])), Err(SendError::Retry { .. })));
    rig.has_told("no TLS with");
    let authority = Authority::new();
    let secret = Receiver::over(Some(Arc::new(Mutex::new(authority.server(2090)))), |_| says(200, ""));
    let mut rig = Rig::new(&format!("http = {{ url = 'http://127.0.0.1:{}' }}", secret.port));
    assert!(matches!(rig.send(&batch(["{}\n".to_owned()])), Err(SendError::Retry { .. })));
    rig.has_told("did not answer a request to its end");
}

#[test]
fn a_tenant_whose_certificate_nobody_vouches_for_gets_no_secret() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let tenant = Receiver::over(Some(Arc::new(Mutex::new(authority.server(2090)))), |_| says(200, ""));
    std::fs::write(folder.path().join("ca.pem"), Authority::new().pem).unwrap();
    let mut rig = Rig::new(&format!(
        "sentinel = {{ url = 'http://127.0.0.1:1', authority = 'https://localhost:{}', dcr = 'dcr-1', \
         stream = 'Custom-X', tenant = 't', client_id = 'c', client_secret = 's', tls.ca = ['{}'] }}",
        tenant.port,
        folder.path().join("ca.pem").display()
    ));
    assert!(matches!(rig.send(&batch(["{}".to_owned()])), Err(SendError::Retry { .. })));
    rig.has_told("no TLS with `localhost`: its certificate");
    assert!(tenant.requests().is_empty());
}
