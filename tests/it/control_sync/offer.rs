//! A target that offers what a test says at the moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::scripted::{Reply, Request, Scripted, result, text};

const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

/// It runs until it is dropped.
pub struct Offer {
    pub url: String,
    server: Scripted,
    says: Arc<Mutex<Says>>,
}

struct Says {
    capabilities: Value,
    /// By method.
    lists: HashMap<&'static str, Vec<Value>>,
    page: usize,
    /// By method, the page that is refused and the code.
    refused: HashMap<&'static str, (usize, i64)>,
    /// The method whose pages are without their member.
    without: Option<&'static str>,
    /// To each POST.
    status: Option<u16>,
    /// Lists of tools are not answered.
    silent: bool,
    /// Each page leads to the second one.
    circles: bool,
}

/// Tools of these names.
pub fn tools(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect()
}

/// So many tools.
pub fn many(count: usize) -> Vec<Value> {
    (0..count).map(|at| json!({"name": format!("t{at}"), "inputSchema": {"type": "object"}})).collect()
}

// === impl Offer ===

impl Offer {
    /// One with these tools, and a capability for each kind of list.
    pub fn new(tools: Vec<Value>) -> Self {
        let lists = HashMap::from([("tools/list", tools)]);
        let capabilities = json!({"tools": {}, "prompts": {}, "resources": {}});
        let refused = HashMap::new();
        let (page, without, status) = (usize::MAX, None, None);
        let says = Says { capabilities, lists, page, refused, without, status, silent: false, circles: false };
        let says = Arc::new(Mutex::new(says));
        let own = says.clone();
        let server = Scripted::raw(move |request| own.lock().unwrap().reply(request));
        Self { url: server.url.clone(), server, says }
    }

    /// From now on it lists these.
    pub fn lists(&self, method: &'static str, items: Vec<Value>) {
        self.says.lock().unwrap().lists.insert(method, items);
    }

    /// The same for tools.
    pub fn tools(&self, tools: Vec<Value>) {
        self.lists("tools/list", tools);
    }

    /// So many items on a page.
    pub fn pages_of(&self, items: usize) {
        self.says.lock().unwrap().page = items;
    }

    /// Refuses one page of a list, the first is 0; none refuses nothing any more.
    pub fn refuses(&self, method: &'static str, refused: Option<(usize, i64)>) {
        let mut says = self.says.lock().unwrap();
        match refused {
            Some(refused) => says.refused.insert(method, refused),
            None => says.refused.remove(method),
        };
    }

    /// The pages of this list are without what should be on them.
    pub fn omits(&self, method: Option<&'static str>) {
        self.says.lock().unwrap().without = method;
    }

    /// What it says that it can.
    pub fn can(&self, capabilities: Value) {
        self.says.lock().unwrap().capabilities = capabilities;
    }

    /// Answers each POST with this status.
    pub fn answers(&self, status: Option<u16>) {
        self.says.lock().unwrap().status = status;
    }

    /// Whether who asks for its tools waits in vain.
    pub fn is_silent(&self, silent: bool) {
        self.says.lock().unwrap().silent = silent;
    }

    /// Whether its pages end.
    pub fn circles(&self, circles: bool) {
        self.says.lock().unwrap().circles = circles;
    }

    /// How many wait in vain.
    pub fn waiting(&self) -> usize {
        self.server.hanging()
    }

    /// How often a method was asked for.
    pub fn asked(&self, method: &str) -> usize {
        let seen = self.server.seen();
        let asked = seen.iter().filter_map(|body| serde_json::from_str::<Value>(body).ok());
        asked.filter(|body| body["method"] == method).count()
    }
}

// === impl Says ===

impl Says {
    fn reply(&self, request: &Request) -> Reply {
        let method = request.body["method"].as_str().unwrap_or_default();
        if request.method != "POST" {
            return Reply::Status(405);
        }
        if let Some(status) = self.status {
            return Reply::Status(status);
        }
        if let Some((method, member)) = LISTS.iter().find(|(list, _)| *list == method) {
            return self.page(method, member, request);
        }
        match method {
            "initialize" => {
                let info = json!({"name": "offer", "version": "1"});
                let welcome =
                    json!({"protocolVersion": "2025-11-25", "capabilities": self.capabilities, "serverInfo": info});
                Reply::Json(result(request, &welcome.to_string()))
            }
            "server/discover" => Reply::Status(404),
            "resources/read" => {
                let uri = &request.body["params"]["uri"];
                let name = self.lists["resources/list"].iter().find(|one| one["uri"] == *uri).map(|one| &one["name"]);
                let contents = json!({"contents": [{"uri": uri, "text": name}]});
                Reply::Json(result(request, &contents.to_string()))
            }
            "tools/call" => text(request, "called"),
            _ if request.body.get("id").is_none() => Reply::Status(202),
            _ => Reply::Json(result(request, "{}")),
        }
    }

    fn page(&self, method: &str, member: &str, request: &Request) -> Reply {
        if self.silent && method == "tools/list" {
            return Reply::Hang(Vec::new());
        }
        let page = request.body["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
        if let Some((refused, code)) = self.refused.get(method).filter(|(refused, _)| *refused == page) {
            let error = json!({"code": code, "message": format!("not page {refused}\u{7} today{}", "!".repeat(1000))});
            return Reply::Json(json!({"jsonrpc": "2.0", "id": request.body["id"], "error": error}).to_string());
        }
        let items = self.lists.get(method).map(Vec::as_slice).unwrap_or_default();
        let start = page.saturating_mul(self.page).min(items.len());
        let end = start.saturating_add(self.page).min(items.len());
        let mut list = json!({member: items[start..end]});
        if self.without == Some(method) {
            list = json!({});
        }
        if end < items.len() {
            list["nextCursor"] = json!((page + 1).to_string());
        }
        if self.circles {
            list["nextCursor"] = json!("1");
        }
        Reply::Json(result(request, &list.to_string()))
    }
}
