//! A client of either era, for what must look the same to both.

use serde_json::{Value, json};

use crate::client::Client;
use crate::modern_client::ModernClient;

pub const ERAS: [&str; 2] = ["legacy", "modern"];

/// A client of one of the eras.
pub enum Either {
    Legacy(Client),
    Modern(ModernClient),
}

impl Either {
    /// One of this era, ready.
    pub async fn new(era: &str, url: &str) -> Self {
        match era {
            "legacy" => Self::Legacy(Client::ready(url, json!({})).await),
            _ => Self::Modern(ModernClient::new(url)),
        }
    }

    /// The response to a request.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        match self {
            Self::Legacy(client) => client.ask(method, params).await,
            Self::Modern(client) => client.request(method, params).await.json,
        }
    }

    /// The response to a tool call.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// What each page of a list has under `key`.
    pub async fn pages(&mut self, method: &str, member: &str, key: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut params = json!({});
        loop {
            let page = self.ask(method, params).await;
            let Some(items) = page["result"][member].as_array() else { panic!("{page}") };
            pages.push(items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect());
            match page["result"].get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return pages,
            }
        }
    }
}
