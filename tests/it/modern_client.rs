//! A client of 2026-07-28 that hides nothing: each request stands alone, with its envelope and its headers.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Value, json};
use sessiongate_protocol::modern::headers;

use crate::client::{LIMIT, Stream};

pub const REVISION: &str = "2026-07-28";
const META: &str = "io.modelcontextprotocol";

/// One client of an endpoint.
pub struct ModernClient {
    pub http: reqwest::Client,
    pub url: String,
    capabilities: Value,
    info: Option<Value>,
    next: i64,
}

/// What came of a request, read to its end.
#[derive(Debug)]
pub struct ModernAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The answer was a stream.
    pub streamed: bool,
    /// Notifications that came before the response.
    pub notes: Vec<Value>,
    /// The JSON-RPC response; null where there was none.
    pub json: Value,
}

/// An answer that is read as it comes. Dropping it closes the connection, which cancels the request.
pub struct ModernStream {
    /// The request's.
    pub id: Value,
    pub status: u16,
    pub headers: HeaderMap,
    stream: Stream,
}

// === impl ModernClient ===

impl ModernClient {
    /// One that can be asked nothing.
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
        let info = Some(json!({"name": "modern-test", "version": "1"}));
        Self { http, url: url.to_owned(), capabilities: json!({}), info, next: 0 }
    }

    /// As the holder of an API key.
    pub fn with_key(url: &str, key: &str) -> Self {
        let headers = [(AUTHORIZATION, format!("Bearer {key}").parse().unwrap())].into_iter().collect();
        let http = reqwest::Client::builder().timeout(LIMIT).default_headers(headers).build().unwrap();
        Self { http, ..Self::new(url) }
    }

    /// What it declares on each of its requests.
    pub fn capabilities(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Without `clientInfo`.
    pub fn anonymous(mut self) -> Self {
        self.info = None;
        self
    }

    /// Lets go of all connections: a server that was started again does not know them.
    pub fn reconnect(&mut self) {
        self.http = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    }

    /// A request with the next id; members of `params._meta` that are given stay.
    pub fn message(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        self.message_with(json!(self.next), method, params)
    }

    /// The same with an id of the test's own.
    pub fn message_with(&self, id: Value, method: &str, mut params: Value) -> Value {
        let meta = &mut params["_meta"];
        let mut add = |name: &str, value: Value| {
            let name = format!("{META}/{name}");
            if meta.get(&name).is_none() {
                meta[name] = value;
            }
        };
        add("protocolVersion", json!(REVISION));
        add("clientCapabilities", self.capabilities.clone());
        if let Some(info) = &self.info {
            add("clientInfo", info.clone());
        }
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    /// A POST of this body with the headers that go with it.
    pub fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        let method = body["method"].as_str().unwrap_or_default();
        let request = self.bare(body).header(headers::PROTOCOL_VERSION, REVISION).header(headers::METHOD, method);
        let params = &body["params"];
        match params["name"].as_str().or(params["uri"].as_str()).or(params["taskId"].as_str()) {
            Some(name) => request.header(headers::NAME, headers::encode(name).as_ref()),
            None => request,
        }
    }

    /// A POST without headers of the protocol.
    pub fn bare(&self, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// A request that is read to its end.
    pub async fn request(&mut self, method: &str, params: Value) -> ModernAnswer {
        self.open(method, params).await.finish().await
    }

    /// A tool call that is read to its end.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> ModernAnswer {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// A request whose answer is read as it comes.
    pub async fn open(&mut self, method: &str, params: Value) -> ModernStream {
        let body = self.message(method, params);
        self.send(&body).await
    }

    /// A message that the test made.
    pub async fn send(&self, body: &Value) -> ModernStream {
        ModernStream::of(body["id"].clone(), self.post(body).send().await.unwrap())
    }
}

// === impl ModernStream ===

impl ModernStream {
    /// The answer to the request with this id.
    pub fn of(id: Value, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { id, status, headers, stream: Stream::of(response) }
    }

    /// It is a stream of events.
    pub fn is_stream(&self) -> bool {
        self.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    }

    /// The next message; none at the end. There are no event ids in this era.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let event = self.stream.next().await.unwrap()?;
            assert_eq!(event.id, None, "nothing can be resumed: {event:?}");
            if let Some(data) = event.data {
                return Some(data);
            }
        }
    }

    /// The next message of this method.
    pub async fn message(&mut self, method: &str) -> Value {
        loop {
            let data = self.next().await.unwrap_or_else(|| panic!("no {method} before the end"));
            if data["method"] == method {
                return data;
            }
        }
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> ModernAnswer {
        let (mut notes, mut json) = (Vec::new(), Value::Null);
        while let Some(data) = self.next().await {
            assert_eq!(json, Value::Null, "nothing comes after the response: {data}");
            match data.get("method") {
                Some(_) => notes.push(data),
                None => json = data,
            }
        }
        ModernAnswer { streamed: self.is_stream(), status: self.status, headers: self.headers, notes, json }
    }

    /// The same where the connection may break; none then, and where there is no response.
    pub async fn try_finish(mut self) -> Option<ModernAnswer> {
        let (mut notes, mut json) = (Vec::new(), Value::Null);
        while let Some(event) = self.stream.next().await.ok()? {
            match event.data {
                Some(data) if data.get("method").is_some() => notes.push(data),
                Some(data) => json = data,
                None => {}
            }
        }
        let streamed = self.is_stream();
        (!json.is_null()).then_some(ModernAnswer { streamed, status: self.status, headers: self.headers, notes, json })
    }

    /// Closes the connection.
    pub fn close(self) {}
}

// === impl ModernAnswer ===

impl ModernAnswer {
    /// The result; panics where there is none.
    pub fn result(&self) -> &Value {
        self.json.get("result").unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The error; panics where there is none.
    pub fn error(&self) -> &Value {
        self.json.get("error").unwrap_or_else(|| panic!("{self:?}"))
    }
}
