//! Promises 1, 2 and 8: the gateway is killed at every named point, each time that it is reached, and started again
//! on the same folder. The client comes back with what it saw last.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, reference_server};

/// See `actors/src/crash.rs` and where it is called.
pub const POINTS: [&str; 6] =
    ["commit:before", "commit:done", "event:shown", "answer:accepted", "answer:posted", "call:done"];

/// What a client saw of a call, over all connections.
#[derive(Default)]
pub struct Seen {
    ids: Vec<String>,
    pub questions: BTreeSet<String>,
    progress: Vec<f64>,
    pub result: Option<Value>,
}

impl Seen {
    /// Every id once, in order, on one stream, without a hole.
    pub fn check_sequence(&self) {
        for (at, id) in self.ids.iter().enumerate() {
            let (stream, seq) = id.split_once('-').unwrap();
            assert_eq!(self.ids[0].split_once('-').unwrap().0, stream, "one stream: {:?}", self.ids);
            assert_eq!(seq.parse::<usize>().unwrap(), at, "no hole and no double: {:?}", self.ids);
        }
    }
}

/// A client that does not give up: when the connection breaks, the gateway is started again if it died.
pub struct Stubborn<'a> {
    home: &'a Home,
    target: &'a str,
    gateway: Program,
    client: Client,
    pub deaths: u32,
}

impl<'a> Stubborn<'a> {
    /// None if the gateway died before it was ready.
    pub async fn start(home: &'a Home, target: &'a str, crash: &str) -> Self {
        let (gateway, deaths) = match home.gateway(target, Some(crash)) {
            Some(gateway) => (gateway, 0),
            None => (home.gateway(target, None).unwrap(), 1),
        };
        let client = Client::new(&gateway.url);
        let mut stubborn = Self { home, target, gateway, client, deaths };
        while stubborn.client.initialize(json!({"elicitation": {"form": {}}})).await.is_err() {
            stubborn.revive();
        }
        stubborn
    }

    fn revive(&mut self) {
        // Another broken connection: a pooled one to the process that died.
        if self.deaths == 1 {
            assert!(self.gateway.is_alive(), "it dies once");
            return;
        }
        // The connection broke, so it is dead or about to be.
        self.gateway.kill();
        self.gateway = self.home.gateway(self.target, None).unwrap();
        self.deaths += 1;
    }

    /// Calls a tool and answers its question; none if the gateway died before the client learnt an event id, so
    /// that there is nothing to resume.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Option<Seen> {
        let mut params = json!({"name": tool, "arguments": arguments});
        params["_meta"] = json!({"progressToken": "p"});
        let body = self.client.request("tools/call", params);
        let mut seen = Seen::default();
        let mut stream = match self.client.open(&body).await {
            Ok(stream) => stream,
            Err(_) => {
                self.revive();
                return None;
            }
        };
        loop {
            match stream.next().await {
                Ok(Some(event)) => {
                    seen.ids.extend(event.id);
                    if let Some(data) = event.data {
                        self.on_message(data, &body["id"], &mut seen).await;
                    }
                    if seen.result.is_some() {
                        return Some(seen);
                    }
                }
                Ok(None) | Err(_) => {
                    if !self.gateway.is_alive() {
                        self.revive();
                    }
                    let last = seen.ids.last()?.clone();
                    stream = self.resume(&last).await;
                }
            }
        }
    }

    /// A call without a stream: when the connection breaks it is simply made again.
    pub async fn plain_call(&mut self) -> Value {
        loop {
            let body = self.client.request("tools/call", json!({"name": "test_simple_text"}));
            let answer = match self.client.open(&body).await {
                Ok(mut stream) => stream.try_response().await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(Some(answer)) => return answer,
                Ok(None) | Err(_) => self.revive(),
            }
        }
    }

    async fn resume(&mut self, last: &str) -> Stream {
        loop {
            match self.client.get(Some(last)).await {
                Ok(response) => {
                    assert_eq!(response.status(), 200, "the stream can be resumed after {last}");
                    return Stream::of(response);
                }
                Err(_) => self.revive(),
            }
        }
    }

    async fn on_message(&mut self, message: Value, call: &Value, seen: &mut Seen) {
        match message["method"].as_str() {
            Some("elicitation/create") => {
                seen.questions.insert(message["id"].to_string());
                let answer = json!({"jsonrpc": "2.0", "id": message["id"],
                    "result": {"action": "accept", "content": {"name": "Ada", "age": 36}}});
                loop {
                    match self.client.post(&answer).send().await {
                        Ok(response) => {
                            assert_eq!(response.status(), 202);
                            break;
                        }
                        // Whether it was accepted is not known, so it is sent again.
                        Err(_) => self.revive(),
                    }
                }
            }
            Some("notifications/progress") => seen.progress.push(message["params"]["progress"].as_f64().unwrap()),
            _ => {
                assert_eq!(&message["id"], call);
                assert!(seen.result.replace(message).is_none(), "one result");
            }
        }
    }
}

fn journal(home: &Home, event: &str) -> usize {
    let text = std::fs::read_to_string(home.path().join("journal")).unwrap_or_default();
    text.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["event"] == event).count()
}

#[tokio::test]
async fn an_elicitation_survives_a_kill_at_every_point() {
    let mut crashes = 0;
    for point in POINTS {
        for time in 1.. {
            let home = Home::new();
            let journal_path = home.path().join("journal");
            let target = reference_server(&["--journal", journal_path.to_str().unwrap()]);
            let crash = format!("{point}:{time}");
            let mut stubborn = Stubborn::start(&home, &target.url, &crash).await;
            let seen = stubborn.call("sg_elicit_form", json!({})).await;
            if let Some(seen) = &seen {
                seen.check_sequence();
                assert_eq!(seen.questions.len(), 1, "{crash}: the question keeps its id");
                let result = &seen.result.as_ref().unwrap()["result"];
                assert_eq!(result["structuredContent"]["content"]["name"], "Ada", "{crash}: {result}");
                assert_eq!(journal(&home, "answer"), 1, "{crash}: the answer reaches the target once");
            }
            // Whatever happened, the session goes on.
            let text = stubborn.plain_call().await;
            assert!(text["result"]["content"].is_array(), "{crash}: {text}");
            if stubborn.deaths == 0 {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes >= 10, "only {crashes} kills: the points are not reached");
}

#[tokio::test]
async fn a_long_call_with_progress_survives_a_kill_at_every_point() {
    let mut crashes = 0;
    for point in ["commit:before", "commit:done", "event:shown", "call:done"] {
        for time in 1.. {
            let home = Home::new();
            let target = reference_server(&[]);
            let crash = format!("{point}:{time}");
            let mut stubborn = Stubborn::start(&home, &target.url, &crash).await;
            if let Some(seen) = stubborn.call("sg_progress", json!({"steps": 4, "delay_ms": 30})).await {
                seen.check_sequence();
                assert_eq!(seen.progress, [1.0, 2.0, 3.0, 4.0], "{crash}");
                assert_eq!(seen.result.unwrap()["result"]["structuredContent"]["steps"], 4, "{crash}");
            }
            if stubborn.deaths == 0 {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes >= 6, "only {crashes} kills: the points are not reached");
}
