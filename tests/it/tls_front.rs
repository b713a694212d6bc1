//! A TLS front of a server, as a reverse proxy would be one: it ends TLS, speaks what ALPN chose, and passes on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// An authority that nobody knows until they are told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// How the front behaves.
pub struct Settings {
    /// What it offers by ALPN, the best first.
    pub alpn: &'static [&'static str],
    /// HTTP/2 streams that may be open at once on one connection.
    pub streams: u32,
    /// The name or address in its certificate.
    pub subject: &'static str,
    /// Its certificate ended long ago.
    pub expired: bool,
}

/// One request that came through.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    pub connection: usize,
    pub version: Version,
    pub method: Method,
}

/// A running front. It has a thread of its own, because starting a gateway blocks.
pub struct Front {
    pub url: String,
    passed: Arc<Mutex<Vec<Passed>>>,
}

const BODY: usize = 1 << 20;

// === impl Authority ===

impl Authority {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With names alike, one would be taken for the other, and only the signature be wrong.
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, for those who trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn server(&self, settings: &Settings) -> ServerConfig {
        let mut params = CertificateParams::new(vec![settings.subject.to_owned()]).unwrap();
        if settings.expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![certificate.der().clone()];
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        config.alpn_protocols = settings.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self { alpn: &["h2", "http/1.1"], streams: 100, subject: "127.0.0.1", expired: false }
    }
}

// === impl Front ===

impl Front {
    /// Passes on to `upstream`, the address of an MCP server.
    pub fn start(authority: &Authority, upstream: &str, settings: Settings) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}/mcp", listener.local_addr().unwrap());
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(&settings)));
        let passed: Arc<Mutex<Vec<Passed>>> = Arc::default();
        let (upstream, log) = (upstream.to_owned(), passed.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime.block_on(listen(listener, acceptor, settings.streams, upstream, log)));
        Self { url, passed }
    }

    /// All requests so far.
    pub fn passed(&self) -> Vec<Passed> {
        self.passed.lock().unwrap().clone()
    }
}

/// TLS before a server that says every byte itself: nothing is looked at on the way. `upstream` is its host and port; the
/// result is the URL of its root.
pub fn tunnel(authority: &Authority, upstream: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let settings = Settings { alpn: &["http/1.1"], ..Settings::default() };
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(&settings)));
    let upstream = upstream.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let accept = async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(socket).await else { return };
                let Ok(mut plain) = TcpStream::connect(upstream).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    };
    std::thread::spawn(move || runtime.block_on(accept));
    url
}

async fn listen(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    streams: u32,
    upstream: String,
    log: Arc<Mutex<Vec<Passed>>>,
) {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let listener = TcpListener::from_std(listener).unwrap();
    let http = reqwest::Client::new();
    while let Ok((socket, _)) = listener.accept().await {
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let (acceptor, http, upstream, log) = (acceptor.clone(), http.clone(), upstream.clone(), log.clone());
        let router = Router::new().fallback(move |request: Request| {
            let (version, method) = (request.version(), request.method().clone());
            log.lock().unwrap().push(Passed { connection, version, method });
            pass(http.clone(), upstream.clone(), request)
        });
        tokio::spawn(async move {
            // Clients that trust nobody end here.
            let Ok(tls) = acceptor.accept(socket).await else { return };
            let chosen = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            let (io, service) = (TokioIo::new(tls), TowerToHyperService::new(router));
            let _ = if chosen.as_deref() == Some(b"h2") {
                let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                server.max_concurrent_streams(streams).serve_connection(io, service).await
            } else {
                hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
            };
        });
    }
}

async fn pass(http: reqwest::Client, upstream: String, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY).await.unwrap();
    let mut headers = head.headers;
    headers.remove("host");
    headers.remove("content-length");
    let Ok(answer) = http.request(head.method, upstream).headers(headers).body(body).send().await else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "mcp-session-id"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}
