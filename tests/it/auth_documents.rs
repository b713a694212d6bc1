//! Discovery documents and key sets that lead elsewhere, as an attacker would have them: the gateway connects nowhere
//! it should not, lets nobody in, and its caller learns nothing of where it asked.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::{Control, gateway};
use crate::harness::{Home, Program, eventually};
use crate::issuer::Issuer;
use crate::scripted::{Reply, Request, Scripted};
use crate::tls_front::{Authority, tunnel};

/// In which the gateway has a document, or has given it up.
const DEADLINE: Duration = Duration::from_secs(10);
/// How much longer a caller may wait than the gateway.
const MARGIN: Duration = Duration::from_secs(5);

pub const WELL_KNOWN: &str = "/.well-known/openid-configuration";
const CLOSED: &str = "allow_private_networks: []";
pub const OPEN: &str = "allow_private_networks: [127.0.0.0/8]";

/// Listeners of one port that nobody may connect to.
struct Private {
    listeners: Vec<TcpListener>,
    port: u16,
}

/// What a caller is told.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

// === impl Private ===

impl Private {
    /// At these addresses, as far as this machine has them.
    fn at(addresses: &[&str]) -> Self {
        loop {
            let first = TcpListener::bind((addresses[0], 0)).unwrap();
            let port = first.local_addr().unwrap().port();
            let others = addresses[1..].iter().map(|address| TcpListener::bind((*address, port)));
            let all: Vec<std::io::Result<TcpListener>> = std::iter::once(Ok(first)).chain(others).collect();
            let taken = |one: &std::io::Result<TcpListener>| {
                one.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
            };
            if all.iter().any(taken) {
                continue;
            }
            let listeners: Vec<TcpListener> = all.into_iter().flatten().collect();
            listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
            return Self { listeners, port };
        }
    }

    /// URLs of this place and of others that are as private, by every way to write them. Each has a path of its own.
    fn urls(&self, path: &str) -> Vec<String> {
        let port = self.port;
        let hosts = [
            "169.254.169.254".to_owned(),
            "[::ffff:169.254.169.254]".to_owned(),
            "[fd00:ec2::254]".to_owned(),
            "10.255.255.1".to_owned(),
            format!("127.0.0.1:{port}"),
            format!("2130706433:{port}"),
            format!("[::1]:{port}"),
            format!("[::ffff:7f00:1]:{port}"),
            // Nobody sees what this one is before it is resolved.
            format!("localhost:{port}"),
        ];
        let urls = ["https", "http"].into_iter().flat_map(|scheme| hosts.iter().map(move |host| (scheme, host)));
        urls.enumerate().map(|(at, (scheme, host))| format!("{scheme}://{host}/{at}{path}")).collect()
    }

    fn assert_untouched(&self) {
        for listener in &self.listeners {
            let seen = listener.accept().map(|(_, who)| who).map_err(|error| error.kind());
            assert_eq!(seen, Err(ErrorKind::WouldBlock), "a connection to {:?}", listener.local_addr());
        }
    }
}

/// Writes a configuration of gateways `g0`, `g1` and so on, each with one of these authorizers; where they are. `head`:
/// lines for the whole process.
pub fn write(home: &Home, head: &str, authorizers: &[String]) -> Vec<String> {
    // Never asked for anything.
    const TARGETS: &str =
        "[{name: t, mcp: {url: 'https://target.example/mcp'}, tools: [{name: a, inputSchema: {type: object}}]}]";
    home.write("targets: []");
    let text = std::fs::read_to_string(home.file()).unwrap();
    let own: String = text
        .lines()
        .filter(|line| line.starts_with("listen") || line.starts_with("data_dir"))
        .fold(String::new(), |lines, line| format!("{lines}{line}\n"));
    let gateways: String = authorizers
        .iter()
        .enumerate()
        .map(|(at, authorizer)| format!("  - name: g{at}\n    {authorizer}\n    targets: {TARGETS}\n"))
        .collect();
    home.write_text(&format!("{own}{head}\ngateways:\n{gateways}"));
    let listen = own.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap();
    (0..authorizers.len()).map(|at| format!("http://{listen}/gateways/g{at}/mcp")).collect()
}

pub fn authorizer(discovery_url: &str) -> String {
    format!("authorizer: {{type: jwt, discovery_url: '{discovery_url}', allowed_audience: [gw]}}")
}

/// The document of an issuer.
pub fn document(issuer: &str, keys: &str) -> Reply {
    Reply::Json(json!({"issuer": issuer, "jwks_uri": keys}).to_string())
}

/// The number at the beginning of a path, and what comes after it.
pub fn numbered(request: &Request) -> (usize, &str) {
    let path = request.path.strip_prefix('/').unwrap_or_default();
    let end = path.find('/').unwrap_or(path.len());
    (path[..end].parse().unwrap(), &path[end..])
}

pub async fn initialize(url: &str, token: &str) -> Told {
    let mut client = Client::with_key(url, token);
    let info = json!({"name": "t", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
    let body = client.request("initialize", params);
    let answer = client.post(&body).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Told { status, headers, text: answer.text().await.unwrap() }
}

/// A token cannot be checked: nobody gets in, and nobody is told more than that.
pub async fn refused(url: &str, token: impl AsRef<str>) {
    let told = tokio::time::timeout(DEADLINE + MARGIN, initialize(url, token.as_ref())).await;
    let told = told.expect("an answer in time");
    assert_eq!(told.status, 503, "{url}: {told:?}");
    assert!(told.headers.contains_key(RETRY_AFTER) && !told.headers.contains_key(WWW_AUTHENTICATE), "{told:?}");
    let body: Value = serde_json::from_str(&told.text).unwrap();
    assert_eq!(body["error"]["data"]["reason"], "issuer_unavailable", "{told:?}");
    let all = format!("{:?} {}", told.headers, told.text);
    for telling in ["127.0.0", "169.254", "10.255", "::", "localhost", "example", "address", "redirect", "well-known"] {
        assert!(!all.contains(telling), "{telling}: {all}");
    }
}

/// The operator is told why.
pub async fn logged(program: &Program, of: &str, why: &str) {
    eventually(&format!("the log says of {of}: {why}"), async || {
        let log = program.log();
        log.lines().any(|line| line.contains(of) && line.contains(why)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_discovery_url_of_a_private_address_is_not_followed() {
    let (home, private, signer) = (Home::new(), Private::at(&["127.0.0.1", "::1"]), Issuer::start().await);
    let urls = private.urls(WELL_KNOWN);
    let gateways = write(&home, CLOSED, &urls.iter().map(|url| authorizer(url)).collect::<Vec<_>>());
    let program = home.again();
    let token = signer.token("ada");
    join_all(gateways.iter().map(|url| refused(url, &token))).await;
    private.assert_untouched();
    for at in 0..urls.len() {
        logged(&program, &format!("/{at}{WELL_KNOWN}"), "the address is not allowed").await;
    }
}

#[tokio::test]
async fn a_discovery_url_of_a_private_address_is_not_followed_for_the_control_plane_either() {
    const WIDE: &str =
        "allow_private_networks: [127.0.0.0/8, 10.0.0.0/8, 169.254.169.254/32, '::1/128', 'fd00:ec2::254/128']";
    let (private, signer) = (Private::at(&["127.0.0.1", "::1"]), Issuer::start().await);
    let members = |url: &str| {
        let jwt = json!({"discoveryUrl": url, "allowedAudience": ["gw"]});
        json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": {"customJWTAuthorizer": jwt}})
    };
    // Made while the networks were open.
    let control = Control::new("", "");
    control.configure(OPEN, WIDE);
    let program = control.start();
    let (urls, mut gateways) = (private.urls(WELL_KNOWN), Vec::new());
    for (at, url) in urls.iter().enumerate() {
        let id = control.gateway(&format!("g{at}"), members(url)).await;
        let shown = control.ok("GET", &format!("/gateways/{id}/"), None).await;
        gateways.push(shown["gatewayUrl"].as_str().unwrap().to_owned());
    }
    drop(program);
    control.configure(WIDE, CLOSED);
    let program = control.start();
    let token = signer.token("ada");
    join_all(gateways.iter().map(|url| refused(url, &token))).await;
    private.assert_untouched();
    for at in 0..urls.len() {
        logged(&program, &format!("/{at}{WELL_KNOWN}"), "the address is not allowed").await;
    }

    // Made now: an address is refused, a name is what it turns out to be.
    for url in urls.iter().map(|url| url.replace(WELL_KNOWN, &format!("/new{WELL_KNOWN}"))) {
        let is_name = url.contains("localhost");
        let answer = control.send("POST", "/gateways/", Some(&gateway("new", members(&url)))).await;
        assert_eq!(answer.status.as_u16(), if is_name { 202 } else { 400 }, "{url}: {answer:?}");
        if is_name {
            let path = format!("/gateways/{}/", answer.body["gatewayId"].as_str().unwrap());
            let shown = control.settled(&path, "READY").await;
            refused(shown["gatewayUrl"].as_str().unwrap(), &token).await;
            logged(&program, url.split_once("://").unwrap().1, "the address is not allowed").await;
            control.ok("DELETE", &path, None).await;
            eventually("it is gone", async || {
                (control.send("GET", &path, None).await.status.as_u16() == 404).then_some(())
            })
            .await;
        }
    }
    private.assert_untouched();
}

#[tokio::test]
async fn keys_are_not_fetched_from_a_private_address() {
    let (home, private, signer) = (Home::new(), Private::at(&["127.0.0.1", "::1"]), Issuer::start().await);
    let mut uris = private.urls("/keys");
    // The last is right.
    let last = uris.len();
    uris.push(format!("https://issuer.example/{last}/keys"));
    let (known, keys) = (uris.clone(), signer.keys());
    let documents = Scripted::raw(move |request| match numbered(request) {
        (at, WELL_KNOWN) => document(&format!("https://issuer.example/{at}"), &known[at]),
        (at, "/keys") if at == last => Reply::Json(keys.clone()),
        _ => Reply::Status(404),
    });
    let head = format!("{CLOSED}\nendpoints: {{issuer.example: '{}'}}", documents.url.trim_end_matches("/mcp"));
    let issuer = |at: usize| format!("https://issuer.example/{at}");
    let authorizers = (0..=last).map(|at| authorizer(&format!("{}{WELL_KNOWN}", issuer(at))));
    let gateways = write(&home, &head, &authorizers.collect::<Vec<_>>());
    let program = home.again();
    let token = |at: usize| signer.token_with(&json!({"iss": issuer(at)}));
    assert_eq!(initialize(&gateways[last], &token(last)).await.status, 200, "but for where keys are, all is well");
    join_all((0..last).map(|at| refused(&gateways[at], token(at)))).await;
    private.assert_untouched();
    for (at, uri) in uris[..last].iter().enumerate() {
        let why = if uri.starts_with("https") { "key set: the address is not allowed" } else { "must be https" };
        logged(&program, &format!("/{at}{WELL_KNOWN}"), why).await;
    }
}

#[tokio::test]
async fn redirects_lead_neither_to_plain_http_nor_to_a_private_address_nor_on_and_on() {
    let (home, authority, signer) = (Home::new(), Authority::new(), Issuer::start().await);
    // One address is allowed: of what is there, only plain HTTP is not to be followed.
    let (plain, private) = (Private::at(&["127.0.0.1"]), Private::at(&["127.0.0.2"]));
    let cases = [
        (format!("http://127.0.0.1:{}/0", plain.port), "redirects to where"),
        ("file:///etc/passwd".to_owned(), "redirects to where"),
        (format!("https://127.0.0.2:{}/", private.port), "the address is not allowed"),
        (format!("//127.0.0.2:{}/", private.port), "the address is not allowed"),
        ("https://169.254.169.254/latest/meta-data".to_owned(), "the address is not allowed"),
        ("hop".to_owned(), "redirects to where"),
        // To itself, for ever.
        ("?".to_owned(), "more than 3 redirects"),
    ];
    let (hop, keys) = (cases[0].0.clone(), signer.keys());
    // Each case for the document, then each for the keys, then what is right.
    let (to, last) = (cases.clone().map(|(to, _)| to), cases.len() * 2);
    let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let seen = asked.clone();
    let issuer = Scripted::raw(move |request| {
        let (path, base) = (request.path.trim_end_matches('?'), format!("https://{}", request.headers["host"]));
        *seen.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        let redirect = |to: &str| {
            let head =
                format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            Reply::Raw(head.into_bytes())
        };
        let (at, what) = numbered(request);
        match what.trim_end_matches('?') {
            WELL_KNOWN if at < to.len() => redirect(&to[at]),
            WELL_KNOWN if at == last => redirect(&format!("/{last}/one")),
            "/one" => redirect("two"),
            "/two" => redirect(&format!("{base}/{last}/document")),
            WELL_KNOWN | "/document" => document(&format!("{base}/{at}"), &format!("{base}/{at}/keys")),
            "/keys" if at < last => redirect(&to[at - to.len()]),
            "/keys" => Reply::Json(keys.clone()),
            _ => redirect(&hop),
        }
    });
    let upstream = issuer.url.trim_start_matches("http://").trim_end_matches("/mcp");
    let base = tunnel(&authority, upstream);
    let names: Vec<String> = (0..=last).map(|at| format!("{base}/{at}")).collect();
    let authorizers: Vec<String> = names.iter().map(|name| authorizer(&format!("{name}{WELL_KNOWN}"))).collect();
    let gateways = write(&home, "allow_private_networks: [127.0.0.1/32]", &authorizers);
    let trusted = home.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.args(["serve", "--config"]).arg(home.file()).env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
    let program = Program::start(command).expect("the gateway starts");

    let token = |at: usize| signer.token_with(&json!({"iss": names[at]}));
    assert_eq!(initialize(&gateways[last], &token(last)).await.status, 200, "three redirects are followed");
    join_all((0..last).map(|at| refused(&gateways[at], token(at)))).await;
    plain.assert_untouched();
    private.assert_untouched();
    for at in 0..last {
        logged(&program, &format!("/{at}{WELL_KNOWN}"), cases[at % cases.len()].1).await;
    }
    let asked = asked.lock().unwrap();
    let looped = (asked[&format!("/{}{WELL_KNOWN}", cases.len() - 1)], asked[&format!("/{}/keys", last - 1)]);
    assert_eq!(looped, (4, 4), "the first request and three more: {asked:?}");
}
