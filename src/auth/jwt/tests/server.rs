//! An issuer that serves what it is told to, and counts who asks.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use url::Url;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Answer {
    Json(Value),
    /// With `Cache-Control`.
    Cached(Value, &'static str),
    /// The same bytes under another media type.
    Media(Value, &'static str),
    Status(u16),
    Redirect(String),
    /// A gigabyte, with or without its length before it.
    Gigabyte {
        declared: bool,
    },
    /// Nothing, for ever.
    Never,
}

/// A running server. It ends with the test's runtime.
#[derive(Clone)]
pub struct Server {
    pub base: Url,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    hits: Mutex<HashMap<String, usize>>,
    /// Pieces of a gigabyte that were asked for.
    pieces: AtomicUsize,
}

pub const PIECE: usize = 64 * 1024;

// === impl Server ===

impl Server {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, shared }
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn hits(&self, path: &str) -> usize {
        self.shared.hits.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    pub fn all_hits(&self) -> usize {
        self.shared.hits.lock().unwrap().values().sum()
    }

    pub fn pieces(&self) -> usize {
        self.shared.pieces.load(Ordering::Relaxed)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    *shared.hits.lock().unwrap().entry(path.clone()).or_default() += 1;
    let answer = shared.answers.lock().unwrap().get(&path).cloned();
    let response = Response::builder();
    let response = match answer.unwrap_or(Answer::Status(404)) {
        Answer::Json(value) => response.header(CONTENT_TYPE, "application/json").body(value.to_string().into()),
        Answer::Cached(value, cache) => response
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("cache-control", cache)
            .body(value.to_string().into()),
        Answer::Media(value, media) => response.header(CONTENT_TYPE, media).body(value.to_string().into()),
        Answer::Status(status) => response.status(status).body(Body::empty()),
        Answer::Redirect(to) => response.status(StatusCode::FOUND).header(LOCATION, to).body(Body::empty()),
        Answer::Gigabyte { declared } => {
            let pieces = stream::iter(0..(1 << 30) / PIECE).map_to(shared);
            let response = response.header(CONTENT_TYPE, "application/json");
            match declared {
                true => response.header(CONTENT_LENGTH, 1 << 30).body(pieces),
                false => response.body(pieces),
            }
        }
        Answer::Never => std::future::pending().await,
    };
    response.unwrap()
}

trait Pieces {
    fn map_to(self, shared: Arc<Shared>) -> Body;
}

impl<S: stream::Stream<Item = usize> + Send + 'static> Pieces for S {
    fn map_to(self, shared: Arc<Shared>) -> Body {
        Body::from_stream(futures_util::StreamExt::map(self, move |_| {
            shared.pieces.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(&[b' '; PIECE]))
        }))
    }
}
