//! An authorization server on loopback: its documents, and tokens signed by its key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::client::Client;

/// How much longer than they say tokens are good, in seconds.
pub const LEEWAY: f64 = 60.0;
const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/jwks";

/// A running issuer. It ends with the test's runtime.
pub struct Issuer {
    /// Its name.
    pub url: String,
    key: Mutex<Key>,
    shared: Arc<Shared>,
}

/// What it signs with.
struct Key {
    number: usize,
    pair: EcdsaKeyPair,
}

#[derive(Default)]
struct Shared {
    documents: Mutex<HashMap<&'static str, Value>>,
    hits: Mutex<HashMap<String, usize>>,
    down: AtomicBool,
    keys_down: AtomicBool,
}

// === impl Key ===

impl Key {
    fn new(number: usize) -> Self {
        Self { number, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn kid(&self) -> String {
        format!("k{}", self.number)
    }

    /// A key set with nothing else in it.
    fn published(&self) -> Value {
        let point = &self.pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.kid(), "use": "sig", "x": text(x), "y": text(y)}]})
    }
}

// === impl Issuer ===

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new(1);
        let documents = HashMap::from([
            (DISCOVERY, json!({"issuer": url, "jwks_uri": format!("{url}{KEYS}")})),
            (KEYS, key.published()),
        ]);
        let shared = Arc::new(Shared { documents: Mutex::new(documents), ..Shared::default() });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, key: Mutex::new(key), shared }
    }

    /// The authorizer of a gateway for tokens with the audience `gw`; `more` are further rules.
    pub fn authorizer(&self, more: &str) -> String {
        self.authorizer_of("jwt", &format!("allowed_audience: [gw]{}{more}", if more.is_empty() { "" } else { ", " }))
    }

    /// An authorizer of any type.
    pub fn authorizer_of(&self, kind: &str, rules: &str) -> String {
        let url = self.discovery_url();
        format!(
            "authorizer: {{type: {kind}, discovery_url: \"{url}\"{}{rules}}}",
            if rules.is_empty() { "" } else { ", " }
        )
    }

    pub fn discovery_url(&self) -> String {
        format!("{}{DISCOVERY}", self.url)
    }

    /// From now on it answers nothing.
    pub fn goes_down(&self) {
        self.shared.down.store(true, Ordering::SeqCst);
    }

    /// From now on it does not answer who asks for its keys.
    pub fn keys_go_down(&self) {
        self.shared.keys_down.store(true, Ordering::SeqCst);
    }

    /// From now on it signs with a new key, `k2` the first time, and publishes no other.
    pub fn rotates(&self) {
        let mut key = self.key.lock().unwrap();
        *key = Key::new(key.number + 1);
        self.shared.documents.lock().unwrap().insert(KEYS, key.published());
    }

    /// How often it was asked for anything.
    pub fn asked(&self) -> usize {
        self.shared.hits.lock().unwrap().values().sum()
    }

    /// Its key set.
    pub fn keys(&self) -> String {
        self.shared.documents.lock().unwrap()[KEYS].to_string()
    }

    /// How often its keys were asked for.
    pub fn fetched(&self) -> usize {
        self.shared.hits.lock().unwrap().get(KEYS).copied().unwrap_or_default()
    }

    /// A good token of this subject.
    pub fn token(&self, subject: &str) -> String {
        self.token_with(&json!({"sub": subject}))
    }

    /// A good token but for these claims; null takes one out.
    pub fn token_with(&self, changes: &Value) -> String {
        let kid = self.key.lock().unwrap().kid();
        self.signed(&json!({"alg": "ES256", "kid": kid}), changes)
    }

    /// The same with another header, signed all the same.
    pub fn signed(&self, header: &Value, changes: &Value) -> String {
        let message = self.message(header, changes);
        let signature = self.key.lock().unwrap().pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", text(signature.as_ref()))
    }

    /// A token of the algorithm `none`.
    pub fn unsigned(&self) -> String {
        format!("{}.", self.message(&json!({"alg": "none"}), &json!({})))
    }

    /// A token that is signed with the public key as if that were a secret.
    pub fn confused(&self) -> String {
        let message = self.message(&json!({"alg": "HS256", "kid": "k1"}), &json!({}));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.lock().unwrap().pair.public_key().as_ref());
        format!("{message}.{}", text(hmac::sign(&key, message.as_bytes()).as_ref()))
    }

    /// A token of this subject that is good for so many seconds more, the leeway counted in.
    pub fn token_for(&self, subject: &str, seconds: f64) -> String {
        self.token_with(&json!({"sub": subject, "exp": now() - LEEWAY + seconds}))
    }

    fn message(&self, header: &Value, changes: &Value) -> String {
        let mut claims = json!({
            "iss": self.url, "sub": "ada", "aud": "gw", "client_id": "console", "scope": "shop/read",
            "iat": now() - 30.0, "exp": now() + 3600.0,
        });
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        format!("{}.{}", text(header.to_string()), text(claims.to_string()))
    }
}

/// A client with a session on a gateway, by this token.
pub async fn ready(url: &str, token: &str) -> Client {
    let mut client = Client::with_key(url, token);
    client.initialize(json!({})).await.unwrap();
    client
}

/// Seconds since the epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path();
    *shared.hits.lock().unwrap().entry(path.to_owned()).or_default() += 1;
    let down = shared.down.load(Ordering::SeqCst) || path == KEYS && shared.keys_down.load(Ordering::SeqCst);
    match shared.documents.lock().unwrap().get(path) {
        _ if down => StatusCode::BAD_GATEWAY.into_response(),
        Some(document) => axum::Json(document.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
