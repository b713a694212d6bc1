//! Servers behind TLS that cannot be spoken to. Those that can are tested through the whole gateway, because whom it
//! trusts belongs to the process.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sessiongate_targets::{Target, TargetError, Transport};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use url::Url;

use crate::support::*;

const BOTH: [Transport; 2] = [Transport::Auto, Transport::Sse];

/// What a server takes part in until it ends; what it says goes to the test.
async fn listening<F>(serve: impl Fn(TcpStream) -> F + 'static) -> (Url, mpsc::UnboundedReceiver<String>)
where
    F: Future<Output = String> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/mcp", listener.local_addr().unwrap())).unwrap();
    let (sender, said) = mpsc::unbounded_channel();
    actix_rt::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (sender, one) = (sender.clone(), serve(connection));
            actix_rt::spawn(async move { sender.send(one.await) });
        }
    });
    (url, said)
}

/// A server whose certificate is good for its address, by an authority that nobody knows; what it offers by ALPN.
fn unknown(alpn: &[&str]) -> TlsAcceptor {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority that nobody knows");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = vec![server.der().clone(), authority.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Tries to open a link; the reason why it is not reached.
async fn unreachable(url: &Url, transport: Transport) -> String {
    let target = target_at(url.clone(), transport, limits(), &["127.0.0.0/8"]).unwrap();
    let error = target.open(hello(), Sink::default().share()).await.err().unwrap();
    assert!(error.not_executed(), "{error:?}");
    assert_eq!(error.to_string(), "the target could not be reached", "clients are told no address");
    let TargetError::Unreachable { detail } = error else { panic!("{error:?}") };
    detail
}

/// Its handshakes end in an error, which it says.
async fn refusing(alpn: &[&str]) -> (Url, mpsc::UnboundedReceiver<String>) {
    let acceptor = unknown(alpn);
    listening(move |connection| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(connection).await.map(drop).unwrap_err().to_string() }
    })
    .await
}

#[actix_rt::test]
async fn a_certificate_of_an_unknown_authority_is_refused_before_anything_is_sent() {
    let (url, mut said) = refusing(&["h2", "http/1.1"]).await;
    for transport in BOTH {
        let detail = unreachable(&url, transport).await;
        assert!(detail.contains("invalid peer certificate: UnknownIssuer"), "{transport:?}: {detail}");
        let alert = tokio::time::timeout(Duration::from_secs(10), said.recv()).await.unwrap().unwrap();
        assert!(alert.contains("UnknownCA"), "the server is told too, and gets no request: {alert}");
    }
}

#[actix_rt::test]
async fn a_server_that_speaks_http2_alone_is_named_as_that() {
    let (url, _said) = refusing(&["h2"]).await;
    for transport in BOTH {
        let detail = unreachable(&url, transport).await;
        assert!(detail.to_lowercase().contains("applicationprotocol"), "{transport:?}: {detail}");
    }
}

#[actix_rt::test]
async fn a_server_without_tls_is_named_as_that() {
    let plain = Server::mcp(|seen| panic!("a request came through: {seen:?}"));
    let mut url = plain.base.clone();
    url.set_scheme("https").unwrap();
    for transport in BOTH {
        let detail = unreachable(&url, transport).await;
        assert!(detail.contains("received corrupt message"), "{transport:?}: {detail}");
    }
    assert!(plain.seen.lock().is_empty());
}

#[actix_rt::test]
async fn a_server_that_never_shakes_hands_is_given_up() {
    let (url, mut said) = listening(|mut connection| async move {
        let mut all = Vec::new();
        let _ = connection.read_to_end(&mut all).await;
        "gone".to_owned()
    })
    .await;
    let started = std::time::Instant::now();
    let detail = unreachable(&url, Transport::Auto).await;
    assert!(detail.contains("timed out"), "{detail}");
    assert!(started.elapsed() < Duration::from_secs(8), "the time to connect bounds the handshake");
    let gone = tokio::time::timeout(Duration::from_secs(10), said.recv()).await;
    assert_eq!(gone.unwrap().unwrap(), "gone", "the connection is closed");
}
