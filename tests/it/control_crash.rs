//! The process is killed at every step of a change of the control plane, and once more at the same step while it takes
//! the change up: each object is what it was or what it was to become, as a whole, and what was accepted is carried out.

mod down;
mod gateways;
mod targets;

use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::Control;
use crate::harness::{Program, eventually};
use crate::scripted::{Reply, Request, Scripted, result, text};

/// What a client sends again when it does not know what became of its request.
const TOKEN: &str = "5a9f0c1e-7d34-4b6a-9e21-3f8b7c6d5e4f";

/// Each of these points, for a process that dies there once, and for one that dies there twice.
fn deaths<T: Copy>(points: &[(&'static str, T)]) -> Vec<(&'static str, u32, T)> {
    points.iter().flat_map(|(point, more)| [(*point, 1, *more), (*point, 2, *more)]).collect()
}

/// Starts the gateway so that it dies when it reaches `point` for the n-th time.
fn armed(control: &Control, point: &str, nth: u32) -> Program {
    control.home.again_until(&format!("{point}:{nth}")).expect("it dies later")
}

/// Sends what leads to the point where `program` dies, and lets the next process die there too if it is to die twice.
async fn die(
    control: &Control,
    program: Program,
    (point, deaths): (&str, u32),
    (method, path, body): (&str, &str, Option<&Value>),
) {
    let _ = control.try_send(method, path, body).await;
    dead(program, point).await;
    for _ in 1..deaths {
        // None: it died before it was ready.
        if let Some(program) = control.home.again_until(&format!("{point}:1")) {
            dead(program, point).await;
        }
    }
}

async fn dead(mut program: Program, point: &str) {
    eventually(&format!("it dies at {point}"), async || (!program.is_alive()).then_some(())).await;
}

/// All that was asked for is read again.
fn assert_members(read: &Value, asked: &Value, what: &str) {
    for (name, value) in asked.as_object().unwrap() {
        if !["clientToken", "tags"].contains(&name.as_str()) {
            assert_eq!(read[name], *value, "{what}: {name}");
        }
    }
}

/// The tools that a client of the gateway finds.
async fn tools(url: &str) -> Vec<String> {
    Client::ready(url, json!({})).await.tools().await
}

/// Where clients reach a gateway.
async fn url_of(control: &Control, id: &str) -> String {
    control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned()
}

/// A target with one tool, which the test changes, and which answers nothing while the test holds it.
struct Held {
    url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    tool: &'static str,
    held: bool,
    waiting: bool,
}

// === impl Held ===

impl Held {
    fn new(tool: &'static str) -> Self {
        let state = Arc::new((Mutex::new(State { tool, held: false, waiting: false }), Condvar::new()));
        let shared = state.clone();
        let server = Scripted::raw(move |request| {
            let (state, changed) = &*shared;
            let mut state = state.lock().unwrap();
            state.waiting = state.held;
            // All of it stands still: the target has one thread.
            let state = changed.wait_while(state, |state| state.held).unwrap();
            answer(request, state.tool)
        });
        Self { url: server.url, state }
    }

    /// Offers another tool from now on.
    fn offer(&self, tool: &'static str) {
        self.state.0.lock().unwrap().tool = tool;
    }

    fn hold(&self) {
        let mut state = self.state.0.lock().unwrap();
        (state.held, state.waiting) = (true, false);
    }

    fn release(&self) {
        self.state.0.lock().unwrap().held = false;
        self.state.1.notify_all();
    }

    /// Waits until somebody waits for it.
    async fn asked(&self, what: &str) {
        eventually(&format!("{what}: the target is asked"), async || {
            self.state.0.lock().unwrap().waiting.then_some(())
        })
        .await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

fn answer(request: &Request, tool: &str) -> Reply {
    match (request.method.as_str(), request.body["method"].as_str()) {
        ("POST", Some("initialize")) => Reply::Json(result(
            request,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"held","version":"1"}}"#,
        )),
        ("POST", Some("tools/list")) => {
            let tools = json!({"tools": [{"name": tool, "inputSchema": {"type": "object"}}]});
            Reply::Json(result(request, &tools.to_string()))
        }
        ("POST", Some("tools/call")) => text(request, request.body["params"]["name"].as_str().unwrap()),
        ("POST", _) if request.body.get("id").is_none() => Reply::Status(202),
        ("POST", _) => Reply::Json(result(request, "{}")),
        _ => Reply::Status(405),
    }
}
