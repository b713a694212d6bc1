//! One way to play a client of either era: the same call, the same questions, the same answers.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::eventually;
use crate::modern_client::{ModernAnswer, ModernClient, ModernStream, REVISION};

/// A round that comes after so many is too much for any test.
const ROUNDS: usize = 20;

/// A client that can be asked anything that its revision knows.
pub enum Player {
    Legacy(Client),
    Modern(ModernClient),
}

/// What came of a request, with all that was asked and said before its end.
#[derive(Debug, Default)]
pub struct Played {
    /// The JSON-RPC response.
    pub answer: Value,
    /// The HTTP status of the last request.
    pub status: u16,
    pub notes: Vec<Value>,
    /// `method` and `params` of each question.
    pub asked: Vec<Value>,
    /// Questions of each `input_required`; empty for a legacy client.
    pub rounds: Vec<usize>,
}

/// Where a modern client is told of changes.
pub enum Ear {
    Legacy(crate::client::Stream),
    Modern(ModernStream),
}

/// What a client of this revision declares.
pub fn everything(revision: &str) -> Value {
    let elicitation = if revision == "2025-06-18" { json!({}) } else { json!({"form": {}, "url": {}}) };
    json!({"elicitation": elicitation, "sampling": {}, "roots": {}})
}

/// The answer to any question; a form or a page gets this action.
pub fn answer(question: &Value, action: &str) -> Value {
    match question["method"].as_str() {
        Some("sampling/createMessage") => {
            json!({"role": "assistant", "content": {"type": "text", "text": "yes"}, "model": "m"})
        }
        Some("roots/list") => json!({"roots": [{"uri": "file:///srv/data", "name": "data"}]}),
        Some("elicitation/create") if action != "accept" || question["params"]["mode"] == "url" => {
            json!({"action": action})
        }
        Some("elicitation/create") => {
            let required = question["params"]["requestedSchema"]["required"].as_array().cloned().unwrap_or_default();
            let field =
                |name: &Value| (name.as_str().unwrap().to_owned(), json!(format!("my {}", name.as_str().unwrap())));
            let content: serde_json::Map<String, Value> = required.iter().map(field).collect();
            json!({"action": "accept", "content": content})
        }
        other => panic!("nobody asks {other:?}: {question}"),
    }
}

/// The parameters of a tool call.
pub fn tool(name: &str, arguments: Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

/// The parameters of a retry.
pub fn retry(params: &Value, state: Option<&Value>, responses: Value) -> Value {
    let mut params = params.clone();
    if let Some(state) = state {
        params["requestState"] = state.clone();
    }
    params["inputResponses"] = responses;
    params
}

// === impl Player ===

impl Player {
    /// A client of this revision that declares everything; a legacy one has a session.
    pub async fn new(url: &str, revision: &'static str) -> Self {
        Self::with(url, revision, everything(revision)).await
    }

    pub async fn with(url: &str, revision: &'static str, capabilities: Value) -> Self {
        if revision == REVISION {
            return Self::Modern(ModernClient::new(url).capabilities(capabilities));
        }
        let mut client = Client::new(url);
        client.revision = revision;
        let hello = client.initialize(capabilities).await.unwrap();
        assert_eq!(hello["result"]["protocolVersion"], revision, "{hello}");
        Self::Legacy(client)
    }

    pub fn is_modern(&self) -> bool {
        matches!(self, Self::Modern(_))
    }

    /// A tool call whose questions are accepted.
    pub async fn call(&mut self, name: &str, arguments: Value) -> Played {
        self.play("tools/call", tool(name, arguments), |question| answer(question, "accept")).await
    }

    /// A request, with progress and log lines, whose questions are answered by `say`.
    pub async fn play(&mut self, method: &str, params: Value, say: impl Fn(&Value) -> Value) -> Played {
        match self {
            Self::Legacy(client) => play_legacy(client, method, params, say).await,
            Self::Modern(client) => play_modern(client, method, params, say).await,
        }
    }

    /// Starts a call, waits for `begun`, and gives it up as its era does.
    pub async fn give_up(&mut self, params: Value, begun: impl AsyncFnMut() -> Option<()>) {
        match self {
            Self::Legacy(client) => {
                let body = client.request("tools/call", params);
                let sent = tokio::spawn(client.post(&body).send());
                eventually("the target has the call", begun).await;
                client.notify("notifications/cancelled", json!({"requestId": body["id"], "reason": "enough"})).await;
                sent.abort();
            }
            Self::Modern(client) => {
                let body = client.message("tools/call", params);
                let sent = tokio::spawn(client.post(&body).send());
                eventually("the target has the call", begun).await;
                sent.abort();
            }
        }
    }

    /// Listens for changes of the tools, and of this resource.
    pub async fn listen(&mut self, uri: &str) -> Ear {
        match self {
            Self::Legacy(client) => {
                let ear = client.listen(None).await;
                let subscribed = client.ask("resources/subscribe", json!({"uri": uri})).await;
                assert!(subscribed.get("result").is_some(), "{subscribed}");
                Ear::Legacy(ear)
            }
            Self::Modern(client) => {
                let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": [uri]});
                let mut ear = client.open("subscriptions/listen", json!({"notifications": wanted})).await;
                let first = ear.next().await.expect("an acknowledgement");
                assert_eq!(first["params"]["notifications"], wanted, "{first}");
                Ear::Modern(ear)
            }
        }
    }

    /// All items of a list, and how many pages they came on.
    pub async fn list(&mut self, method: &str, member: &str) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut params) = (Vec::new(), 0, json!({}));
        loop {
            let page = self.play(method, params, |question| panic!("{question}")).await.answer;
            items.extend(page["result"][member].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
            pages += 1;
            match page["result"].get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return (items, pages),
            }
        }
    }
}

async fn play_legacy(client: &mut Client, method: &str, mut params: Value, say: impl Fn(&Value) -> Value) -> Played {
    params["_meta"]["progressToken"] = json!("mine");
    let body = client.request(method, params);
    let response = client.post(&body).send().await.unwrap();
    let mut played = Played { status: response.status().as_u16(), ..Played::default() };
    let mut stream = crate::client::Stream::of(response);
    while let Some(event) = stream.next().await.unwrap() {
        let Some(message) = event.data else { continue };
        match (message.get("method").is_some(), message.get("id")) {
            (true, None) => played.notes.push(message),
            (true, Some(_)) => {
                assert_eq!(client.answer(&message, say(&message)).await, 202, "{message}");
                played.asked.push(json!({"method": message["method"], "params": message["params"]}));
            }
            (false, id) => {
                assert_eq!(id, Some(&body["id"]), "{message}");
                played.answer = message;
            }
        }
    }
    assert_ne!(played.answer, Value::Null, "a response before the end");
    played
}

async fn play_modern(client: &mut ModernClient, method: &str, params: Value, say: impl Fn(&Value) -> Value) -> Played {
    let mut played = Played::default();
    let mut next = params.clone();
    for _ in 0..ROUNDS {
        next["_meta"] = json!({"progressToken": "mine", "io.modelcontextprotocol/logLevel": "info"});
        let ModernAnswer { status, notes, json, .. } = client.request(method, next).await;
        played.notes.extend(notes);
        (played.status, played.answer) = (status, json);
        let result = &played.answer["result"];
        if result["resultType"] != "input_required" {
            if let Some(result) = played.answer.get("result") {
                assert_eq!(result["resultType"], "complete", "{result}");
            }
            return played;
        }
        let asked = result["inputRequests"].as_object().cloned().unwrap_or_default();
        played.rounds.push(asked.len());
        let responses: serde_json::Map<String, Value> =
            asked.iter().map(|(key, question)| (key.clone(), say(question))).collect();
        next = retry(&params, result.get("requestState"), json!(responses));
        played.asked.extend(asked.into_values());
    }
    panic!("no end after {ROUNDS} rounds: {played:?}");
}

// === impl Played ===

impl Played {
    /// What the client is told where it gets no good result; none where it does.
    pub fn refused(&self) -> Option<String> {
        if let Some(error) = self.answer.get("error") {
            let required = &error["data"]["requiredCapabilities"];
            let required = if required.is_null() { String::new() } else { format!(" {required}") };
            let status = if self.status == 200 { String::new() } else { format!("HTTP {} ", self.status) };
            return Some(format!("{status}{} {}{required}", error["code"], error["message"].as_str().unwrap()));
        }
        let result = &self.answer["result"];
        (result["isError"] == true).then(|| format!("tool error: {}", self.text()))
    }

    /// The first text of a tool's result.
    pub fn text(&self) -> &str {
        self.answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// `structuredContent` of a tool's result.
    pub fn structured(&self) -> &Value {
        &self.answer["result"]["structuredContent"]
    }

    /// Notifications of this method.
    pub fn notes(&self, method: &str) -> Vec<&Value> {
        self.notes.iter().filter(|note| note["method"] == method).map(|note| &note["params"]).collect()
    }
}

// === impl Ear ===

impl Ear {
    pub async fn message(&mut self, method: &str) -> Value {
        match self {
            Self::Legacy(stream) => stream.message(method).await,
            Self::Modern(stream) => stream.message(method).await,
        }
    }
}
