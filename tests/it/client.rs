//! A client that hides nothing: each request and each event is the test's own.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

pub const LIMIT: Duration = Duration::from_secs(20);

/// One client of an endpoint.
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pub session: Option<String>,
    pub revision: &'static str,
    next: i64,
}

/// An SSE event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub retry: Option<u64>,
    pub data: Option<Value>,
}

/// An answer that is a stream, or was JSON.
pub struct Stream {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
    json: bool,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
        Self { http, url: url.to_owned(), session: None, revision: "2025-11-25", next: 0 }
    }

    pub fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.with_session(self.http.post(&self.url))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub fn with_session(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.session {
            Some(id) => request.header("mcp-session-id", id).header("mcp-protocol-version", self.revision),
            None => request,
        }
    }

    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params})
    }

    /// The handshake; an error where the connection broke.
    pub async fn initialize(&mut self, capabilities: Value) -> reqwest::Result<Value> {
        self.session = None;
        let params = json!({
            "protocolVersion": self.revision,
            "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        });
        let body = self.request("initialize", params);
        let response = self.post(&body).send().await?;
        assert_eq!(response.status(), 200);
        let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let answer: Value = serde_json::from_slice(&response.bytes().await?).unwrap();
        self.session = Some(session);
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let response = self.post(&note).send().await?;
        assert_eq!(response.status(), 202);
        Ok(answer)
    }

    /// A request whose answer is read as JSON.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let body = self.request(method, params);
        let mut stream = self.open(&body).await.unwrap();
        loop {
            let event = stream.next().await.unwrap().expect("a response before the end");
            if let Some(data) = event.data
                && data.get("id") == Some(&body["id"])
                && data.get("method").is_none()
            {
                return data;
            }
        }
    }

    /// A request whose answer may be a stream.
    pub async fn open(&self, body: &Value) -> reqwest::Result<Stream> {
        Ok(Stream::of(self.post(body).send().await?))
    }

    /// GET, with `Last-Event-ID`.
    pub async fn get(&self, last: Option<&str>) -> reqwest::Result<reqwest::Response> {
        let mut request = self.with_session(self.http.get(&self.url)).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send().await
    }
}

impl Stream {
    pub fn of(response: reqwest::Response) -> Self {
        let json = response.headers()["content-type"] == "application/json";
        Self { bytes: response.bytes_stream().boxed(), text: String::new(), json }
    }

    /// The next event; none at the end. Comments are passed over. A JSON answer is one event without id.
    pub async fn next(&mut self) -> reqwest::Result<Option<Event>> {
        if self.json {
            while let Some(chunk) = self.bytes.next().await {
                self.text.push_str(std::str::from_utf8(&chunk?).unwrap());
            }
            let text = std::mem::take(&mut self.text);
            let data = (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap());
            return Ok(data.map(|data| Event { id: None, retry: None, data: Some(data) }));
        }
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let mut event = Event { id: None, retry: None, data: None };
                let mut real = false;
                for line in block.lines() {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    real |= !name.is_empty();
                    match name {
                        "id" => event.id = Some(value.to_owned()),
                        "retry" => event.retry = value.parse().ok(),
                        "data" if !value.is_empty() => event.data = Some(serde_json::from_str(value).unwrap()),
                        _ => {}
                    }
                }
                if real {
                    return Ok(Some(event));
                }
                continue;
            }
            match self.bytes.next().await {
                Some(chunk) => self.text.push_str(std::str::from_utf8(&chunk?).unwrap()),
                None => return Ok(None),
            }
        }
    }
}
