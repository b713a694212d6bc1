//! A real little server that other tests put in the place of a hook, of Lambda, of S3.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use sessiongate::auth::sigv4::{AccessKeySpec, AccessKeys, Policy, RequestParts, verify};

pub const KEY: &str = "AKIDOUTBOUNDEXAMPLE";
pub const SECRET: &str = "outbound-secret";

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// As it was sent, with the query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What it says.
pub enum Says {
    /// A status and a body; `Json` is by far the most frequent.
    Status(u16, String),
    /// The same with a header.
    With(&'static str, String, u16, String),
    /// Nothing, until the other side goes away.
    Never,
}

/// A running server.
pub struct Hook {
    /// Without a slash at the end.
    pub url: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

// === impl Hook ===

impl Hook {
    /// It has a thread of its own, because starting a gateway blocks.
    pub fn new(script: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, shared) = (Arc::new(script), seen.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let answer = move |request: Request| {
                    let (script, seen) = (script.clone(), shared.clone());
                    async move { answer(request, &*script, &seen).await }
                };
                axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
            });
        });
        Self { url, seen }
    }

    /// An interceptor: gets the input, gives what stands under `mcp` in the output.
    pub fn intercepting(script: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        Self::new(move |asked| says(script(&asked.json())))
    }

    /// All that it was asked so far.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    /// The inputs so far, as JSON.
    pub fn inputs(&self) -> Vec<Value> {
        self.seen().iter().map(Asked::json).collect()
    }
}

/// The output of an interceptor.
pub fn says(mcp: Value) -> Says {
    Says::Status(200, json!({"interceptorOutputVersion": "1.0", "mcp": mcp}).to_string())
}

// === impl Asked ===

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Whether the holder of [`KEY`] signed it for this service; the region that it was signed for.
    pub fn signed_for(&self, service: &str) -> Result<String, String> {
        self.signed_by(KEY, SECRET, None, service)
    }

    /// The same for the holder of another key.
    pub fn signed_by(&self, key: &str, secret: &str, token: Option<&str>, service: &str) -> Result<String, String> {
        let keys = AccessKeys::new([AccessKeySpec {
            access_key_id: key.into(),
            secret: secret.to_owned().into(),
            session_token: token.map(|token| token.to_owned().into()),
            principal_arn: "arn:aws:iam::123456789012:user/gateway".into(),
            account: "123456789012".into(),
            permissions: Vec::new(),
        }])
        .unwrap();
        let policy = Policy { service: service.into(), ..Policy::default() };
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let parts = RequestParts {
            method: &self.method,
            raw_path: path,
            raw_query: query,
            headers: self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
            authority: self.header("host").unwrap(),
            body: &self.body,
        };
        let verified = verify(&keys, &policy, parts, SystemTime::now()).map_err(|error| error.to_string())?;
        Ok(verified.region.into())
    }
}

async fn answer(
    request: Request,
    script: &(dyn Fn(&Asked) -> Says + Send + Sync),
    seen: &Mutex<Vec<Asked>>,
) -> Response {
    let (head, body) = request.into_parts();
    let asked = Asked {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: to_bytes(body, usize::MAX).await.unwrap(),
    };
    let said = script(&asked);
    seen.lock().unwrap().push(asked);
    let status = |code| StatusCode::from_u16(code).unwrap();
    match said {
        Says::Status(code, body) => (status(code), [("content-type", "application/json")], body).into_response(),
        Says::With(name, value, code, body) => (status(code), [(name, value)], Body::from(body)).into_response(),
        Says::Never => std::future::pending().await,
    }
}
