//! Probes, metrics and the status page over HTTP. Nothing here changes anything.
//!
//! | path | answers |
//! |---|---|
//! | `/livez` | 200 while the process runs |
//! | `/readyz` | 200 while events are taken in, 503 before and while draining; a dead output does not make it fail, or a load balancer would take away the one place that still keeps events |
//! | `/metrics` | the Prometheus text format |
//! | `/` | the status page |
//!
//! The Host header is checked, so that a page in somebody's browser cannot read this through a name
//! of its own (DNS rebinding). Must not know: the pipeline.

use super::admit::Admission;
use super::page;
use super::{Status, metrics, status::Phase};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Most connections served at once; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 32;
/// Largest request head.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A request's head must be here by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// No connection lives longer: scrapers come back.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves until `stop`. `hosts` are names it answers to besides IP addresses and `localhost`.
pub async fn serve(listener: TcpListener, hosts: Vec<String>, status: Arc<Status>, stop: CancellationToken) {
    let hosts: Arc<[String]> = hosts.into();
    let admission = Admission { connections_max: CONNECTIONS_MAX, time_max: CONNECTION_TIMEOUT };
    let serve = |stream| {
        let (status, hosts) = (Arc::clone(&status), Arc::clone(&hosts));
        async move { connection(stream, &hosts, &status).await }
    };
    super::admit::serve(&listener, admission, stop, serve).await;
}

async fn connection(stream: TcpStream, hosts: &[String], status: &Status) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, hosts, status)) });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    // A peer that breaks HTTP gets no more than its own connection closed.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(request: &Request<Incoming>, hosts: &[String], status: &Status) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    respond(request.method(), request.uri().path(), host, hosts, status)
}

fn respond(
    method: &Method,
    path: &str,
    host: Option<&str>,
    hosts: &[String],
    status: &Status,
) -> Response<Full<Bytes>> {
    if !host.is_some_and(|host| known_host(host, hosts)) {
        let text = "this host name is not served here; ask by IP address or add the name to `http.hosts`\n";
        return plain(StatusCode::MISDIRECTED_REQUEST, text.into());
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => plain(StatusCode::OK, "alive\n".into()),
        "/readyz" => match status.phase() {
            Phase::Ready => plain(StatusCode::OK, "ready\n".into()),
            phase => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", phase.name())),
        },
        "/metrics" => {
            typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics().exposition())
        }
        "/" => {
            typed(StatusCode::OK, "text/html; charset=utf-8", page::render(status, &metrics().exposition()))
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /\n".into()),
    }
}

fn plain(code: StatusCode, text: String) -> Response<Full<Bytes>> {
    typed(code, "text/plain; charset=utf-8", text)
}

fn typed(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// `host` with or without a port: an IP address, `localhost`, or one of the configured names.
fn known_host(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn code(method: Method, path: &str, host: Option<&str>, status: &Status) -> u16 {
        respond(&method, path, host, &["collector.example.org".into()], status).status().as_u16()
    }

    #[test]
    fn readiness_follows_the_phase_and_liveness_does_not() {
        let status = Status::default();
        for (phase, ready) in [(Phase::Starting, 503), (Phase::Ready, 200), (Phase::Draining, 503)] {
            status.enter(phase);
            assert_eq!(code(Method::GET, "/readyz", Some("localhost"), &status), ready);
            assert_eq!(code(Method::GET, "/livez", Some("127.0.0.1:9750"), &status), 200);
        }
    }

    #[test]
    fn foreign_host_names_and_other_methods_are_refused() {
        let status = Status::default();
        for host in [None, Some("evil.example"), Some("localhost.evil.example:9750")] {
            assert_eq!(code(Method::GET, "/metrics", host, &status), 421, "{host:?}");
        }
        for host in ["Collector.example.org:80", "[::1]:9750", "10.0.0.1"] {
            assert_eq!(code(Method::GET, "/metrics", Some(host), &status), 200, "{host}");
        }
        assert_eq!(code(Method::POST, "/", Some("localhost"), &status), 405);
        assert_eq!(code(Method::GET, "/nothing", Some("localhost"), &status), 404);
    }

    #[tokio::test]
    async fn a_scrape_over_a_socket_gets_the_metrics_and_a_huge_head_a_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let ask = |request: String| async move {
            tokio::task::spawn_blocking(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                let _ = stream.write_all(request.as_bytes());
                let mut said = Vec::new();
                let _ = stream.read_to_end(&mut said);
                String::from_utf8_lossy(&said).into_owned()
            })
            .await
            .unwrap()
        };
        let asking = async {
            let good =
                ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into()).await;
            assert!(good.starts_with("HTTP/1.1 200") && good.contains("forebay_build_info"), "{good}");
            let padding = "x".repeat(2 * HEAD_BYTES_MAX);
            let huge = ask(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n")).await;
            assert!(!huge.contains("200 OK"), "{huge}");
            stop.cancel();
        };
        tokio::join!(serve(listener, Vec::new(), Arc::default(), stop.clone()), asking);
    }
}
