//! The page on interceptors, word for word: its hook in Python, behind its configuration.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, eventually, free_port, reference_server};

const PAGE: &str = include_str!("../../../docs/interceptors.md");

/// The page's first example of this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// Ends with the test.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_hook_of_the_documentation_works() {
    let (server, home, port) = (reference_server(&[]), Home::new(), free_port());
    let local = |text: &str| {
        let there = text.replace("9000", &port.to_string()).replace("cart___empty", "cart___sg_counter");
        assert_ne!(there, text);
        there
    };
    let file = home.path().join("hook.py");
    std::fs::write(&file, local(block("python"))).unwrap();
    let mut python = Command::new("python3");
    let _python = Python(python.arg(&file).stderr(Stdio::null()).spawn().expect("python3 runs"));
    eventually("the hook listens", async || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;

    let yaml = local(block("yaml")).replace("https://cart.example/mcp", &server.url);
    let own = format!("listen: 127.0.0.1:{}\ndata_dir: {}\n", free_port(), home.data().display());
    home.write_text(&format!("{own}allow_private_networks: [127.0.0.0/8]\n{yaml}"));
    let gateway = home.again();
    let mut client = Client::ready(&gateway.url, json!({})).await;
    let tools = client.tools().await;
    assert!(tools.iter().any(|tool| tool == "cart___sg_echo"), "{tools:?}");
    assert!(!tools.iter().any(|tool| tool == "cart___sg_counter"), "{tools:?}");
    let refused = client.call("cart___sg_counter", json!({})).await;
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    let answer = client.call("cart___sg_echo", json!({"a": 1})).await;
    assert_eq!(answer["result"]["structuredContent"], json!({"a": 1}), "{answer}");
    // A stream passes too, and its events that have no id.
    let (_, mut stream) = client.start("cart___sg_progress", json!({"steps": 2, "delay_ms": 1})).await;
    let all = stream.rest().await;
    let last: &Value = all.iter().rev().find_map(|event| event.data.as_ref()).unwrap();
    assert!(last.get("result").is_some(), "{all:?}");
    assert_eq!(server.stats().await["calls"], 2, "what was refused did not happen");
}
