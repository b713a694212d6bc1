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
    key: EcdsaKeyPair,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    documents: HashMap<&'static str, Value>,
    hits: Mutex<HashMap<String, usize>>,
    down: AtomicBool,
}

// === impl Issuer ===

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = &key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": text(x), "y": text(y)});
        let documents = HashMap::from([
            (DISCOVERY, json!({"issuer": url, "jwks_uri": format!("{url}{KEYS}")})),
            (KEYS, json!({"keys": [jwk]})),
        ]);
        let shared = Arc::new(Shared { documents, ..Shared::default() });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, key, shared }
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
        self.signed(&json!({"alg": "ES256", "kid": "k1"}), changes)
    }

    /// The same with another header, signed all the same.
    pub fn signed(&self, header: &Value, changes: &Value) -> String {
        let message = self.message(header, changes);
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", text(signature.as_ref()))
    }

    /// A token of the algorithm `none`.
    pub fn unsigned(&self) -> String {
        format!("{}.", self.message(&json!({"alg": "none"}), &json!({})))
    }

    /// A token that is signed with the public key as if that were a secret.
    pub fn confused(&self) -> String {
        let message = self.message(&json!({"alg": "HS256", "kid": "k1"}), &json!({}));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.public_key().as_ref());
        format!("{message}.{}", text(hmac::sign(&key, message.as_bytes()).as_ref()))
    }

    /// A token of this subject that is good for so many seconds more, the leeway counted in.
    pub fn token_for(&self, subject: &str, seconds: f64) -> String {
        self.token_with(&json!({"sub": subject, "exp": now() - LEEWAY + seconds}))
    }

    fn message(&self, header: &Value, changes: &Value) -> String {
        let mut claims = json!({
            "iss": self.url, "sub": "ada", "aud": "gw", "client_id": "console", "scope": "shop/read",
            "iat": now() - 300.0, "exp": now() + 3600.0,
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
    match shared.documents.get(path) {
        _ if shared.down.load(Ordering::SeqCst) => StatusCode::BAD_GATEWAY.into_response(),
        Some(document) => axum::Json(document.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
