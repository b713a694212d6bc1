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
        let mut stream = Stream::of(response);
        let answer = loop {
            let event = stream.next().await?.expect("an answer before the end");
            if let Some(data) = event.data {
                break data;
            }
        };
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

    /// As the holder of an API key.
    pub fn with_key(url: &str, key: &str) -> Self {
        let value = format!("Bearer {key}").parse().unwrap();
        let headers = [(reqwest::header::AUTHORIZATION, value)].into_iter().collect();
        let http = reqwest::Client::builder().timeout(LIMIT).default_headers(headers).build().unwrap();
        Self { http, ..Self::new(url) }
    }

    /// Lets go of all connections: a server that was started again does not know them.
    pub fn reconnect(&mut self) {
        self.http = reqwest::Client::builder().timeout(LIMIT).build().unwrap();
    }

    /// A session on a gateway.
    pub async fn ready(url: &str, capabilities: Value) -> Self {
        let mut client = Self::new(url);
        client.initialize(capabilities).await.unwrap();
        client
    }

    /// The answer to a tool call: `result` or `error`.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// What a tool counted in its downstream session.
    pub async fn count(&mut self, tool: &str) -> i64 {
        let answer = self.call(tool, json!({})).await;
        answer["result"]["structuredContent"]["count"].as_i64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// Opens a tool call with progress; the request's id and the answer's stream.
    pub async fn start(&mut self, tool: &str, arguments: Value) -> (Value, Stream) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}});
        let body = self.request("tools/call", params);
        let stream = self.open(&body).await.unwrap();
        (body["id"].clone(), stream)
    }

    /// All items of a list, over all pages.
    pub async fn list(&mut self, method: &str, member: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut params = json!({});
        loop {
            let page = self.ask(method, params).await;
            let Some(found) = page["result"][member].as_array() else { panic!("{page}") };
            items.extend(found.iter().cloned());
            match page["result"].get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return items,
            }
        }
    }

    /// The names of all tools.
    pub async fn tools(&mut self) -> Vec<String> {
        let tools = self.list("tools/list", "tools").await;
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Sends what is no request; the status and the body.
    pub async fn send(&self, body: &Value) -> (u16, Value) {
        let response = self.post(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    /// Answers a question of the server.
    pub async fn answer(&self, question: &Value, result: Value) -> u16 {
        self.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await.0
    }

    pub async fn notify(&self, method: &str, params: Value) {
        let (status, body) = self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await;
        assert_eq!(status, 202, "{body}");
    }

    /// A GET stream.
    pub async fn listen(&self, last: Option<&str>) -> Stream {
        let response = self.get(last).await.unwrap();
        assert_eq!(response.status(), 200);
        Stream::of(response)
    }

    /// DELETE.
    pub async fn end(&self) {
        let response = self.with_session(self.http.delete(&self.url)).send().await.unwrap();
        assert_eq!(response.status(), 204);
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

impl Event {
    /// The value of a progress notification.
    pub fn progress(&self) -> Option<i64> {
        let value = self.data.as_ref()?["params"]["progress"].as_f64()?;
        Some(value as i64)
    }
}

impl Stream {
    pub fn of(response: reqwest::Response) -> Self {
        let json = response.headers()["content-type"] == "application/json";
        Self { bytes: response.bytes_stream().boxed(), text: String::new(), json }
    }

    /// The next message of this method.
    pub async fn message(&mut self, method: &str) -> Value {
        loop {
            let event = self.next().await.unwrap().unwrap_or_else(|| panic!("no {method} before the end"));
            if let Some(data) = event.data.filter(|data| data["method"] == method) {
                return data;
            }
        }
    }

    /// The response, whatever comes before it.
    pub async fn response(&mut self) -> Value {
        loop {
            let event = self.next().await.unwrap().expect("a response before the end");
            if let Some(data) = event.data.filter(|data| data.get("method").is_none()) {
                return data;
            }
        }
    }

    /// The events until the end.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await.unwrap() {
            events.push(event);
        }
        events
    }

    /// The first response; none if the stream ends without one.
    pub async fn try_response(&mut self) -> reqwest::Result<Option<Value>> {
        while let Some(event) = self.next().await? {
            if let Some(data) = event.data
                && data.get("method").is_none()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
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
