//! A client of the control plane that signs its requests as AWS's clients do.

use std::io::Write;
use std::time::SystemTime;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sessiongate::auth::sigv4::Signer;
use sessiongate::control::model::model;

use crate::harness::{Home, Program, eventually, free_port};

pub const KEY: &str = "AKIDEXAMPLEEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
/// Closing sends a reset.
const LINGER: nix::libc::linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };

pub const ROLE: &str = "arn:aws:iam::123456789012:role/any";

/// A folder for a gateway with a control plane, and the requests to it.
pub struct Control {
    pub home: Home,
    base: String,
    signer: Signer,
    http: reqwest::Client,
}

/// What the control plane answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub error: Option<String>,
    pub body: Value,
}

// === impl Control ===

impl Control {
    /// Writes a configuration without gateways; `more` are further lines of `control`, `process` further lines of the
    /// process.
    pub fn new(more: &str, process: &str) -> Self {
        let home = Home::new();
        let (control, data) = (free_port(), free_port());
        let folder = home.data();
        home.write_text(&format!(
            "listen: 127.0.0.1:{data}\ndata_dir: {}\nallow_private_networks: [127.0.0.0/8]\n{process}control:\n  \
             listen: 127.0.0.1:{control}\n  account: \"123456789012\"\n  credentials:\n    - {{access_key_id: {KEY}, \
             secret_access_key: {SECRET}}}\n{more}  quotas: {{changes_per_second: 10000, reads_per_second: 10000}}\n",
            folder.display()
        ));
        Self {
            home,
            base: format!("http://127.0.0.1:{control}"),
            signer: Signer::new(KEY, &SECRET.to_owned().into(), None, "us-east-1", "bedrock-agentcore"),
            // A pooled connection to a process that was killed would fail the next request.
            http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
        }
    }

    /// The same requests, signed with another key.
    pub fn signed_by(&mut self, key: &str, secret: &str) {
        self.signer = Signer::new(key, &secret.to_owned().into(), None, "us-east-1", "bedrock-agentcore");
    }

    pub fn start(&self) -> Program {
        self.home.again()
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    /// Changes a text of the configuration that must be in it.
    pub fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.home.file()).unwrap();
        assert!(text.contains(from), "{text}");
        self.home.write_text(&text.replace(from, to));
    }

    /// Sends a signed request; an error if the connection breaks.
    pub async fn try_send(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        self.try_send_raw(method, path, body.map(|body| body.to_string().into_bytes())).await
    }

    /// The same with a body of any form.
    pub async fn try_send_raw(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> reqwest::Result<Answer> {
        let response = self.execute(method, path, body).await?;
        let status = response.status();
        let error = response.headers().get("x-amzn-errortype").map(|value| value.to_str().unwrap().to_owned());
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        let answer = Answer { status, error, body };
        answer.assert_modelled(method, path);
        Ok(answer)
    }

    /// The answer to a signed request as it came.
    pub async fn raw(&self, method: &str, path: &str) -> reqwest::Response {
        self.execute(method, path, None).await.unwrap()
    }

    async fn execute(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> reqwest::Result<reqwest::Response> {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut request = request.build()?;
        self.signer.apply(&mut request, SystemTime::now()).unwrap();
        self.http.execute(request).await
    }

    /// Sends a signed request, and resets the connection in the moment when it was sent.
    pub fn send_and_reset(&self, method: &str, path: &str, body: &Value) {
        let text = self.text(method, path, &body.to_string());
        let mut stream = std::net::TcpStream::connect(self.address()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &LINGER).unwrap();
    }

    /// A signed request as it is written to a connection.
    pub fn text(&self, method: &str, path: &str, body: &str) -> String {
        let method: Method = method.parse().unwrap();
        let request = self.http.request(method.clone(), format!("{}{path}", self.base));
        let mut request =
            request.header("content-type", "application/json").body(body.to_owned().into_bytes()).build().unwrap();
        self.signer.apply(&mut request, SystemTime::now()).unwrap();
        let host = self.address();
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str(&format!("\r\n{body}"));
        text
    }

    /// Sends a signed request that must be answered.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_send(method, path, body).await.unwrap()
    }

    /// Sends a request that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.send(method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        answer.body
    }

    /// Creates a gateway and waits until it is served; its id.
    pub async fn gateway(&self, name: &str, more: Value) -> String {
        let created = self.ok("POST", "/gateways/", Some(&gateway(name, more))).await;
        let id = created["gatewayId"].as_str().unwrap().to_owned();
        self.settled(&format!("/gateways/{id}/"), "READY").await;
        id
    }

    /// Creates a target and waits until it is served; its id.
    pub async fn target(&self, gateway: &str, name: &str, endpoint: &str) -> String {
        let created = self.ok("POST", &format!("/gateways/{gateway}/targets/"), Some(&target(name, endpoint))).await;
        let id = created["targetId"].as_str().unwrap().to_owned();
        self.settled(&format!("/gateways/{gateway}/targets/{id}/"), "READY").await;
        id
    }

    /// Waits until an object has a status, and returns it.
    pub async fn settled(&self, path: &str, status: &str) -> Value {
        eventually(&format!("{path} is {status}"), async || {
            let answer = self.send("GET", path, None).await;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }
}

// === impl Answer ===

impl Answer {
    /// An answer of success is what the model has for the operation: the status, and each member.
    fn assert_modelled(&self, method: &str, path: &str) {
        if !self.status.is_success() {
            return;
        }
        let raw_path = path.split('?').next().unwrap();
        let operation = model().route(method, raw_path).expect("only an operation succeeds").operation;
        let what = format!("{method} {path}: {self:?}");
        assert_eq!(self.status.as_u16(), operation.status, "{what}");
        if operation.status == 204 {
            assert_eq!(self.body, Value::Null, "{what}");
            return;
        }
        let mut wrong = model().validate_output(operation, &self.body).err().unwrap_or_default();
        // The member is required and its list has at least one item; a target that needs no credentials has none.
        wrong.retain(|field| !field.path.ends_with("credentialProviderConfigurations"));
        assert!(wrong.is_empty(), "{wrong:?} in {what}");
    }
}

/// Members of a gateway with sessions and streams that everybody may call.
pub fn gateway(name: &str, more: Value) -> Value {
    let mut members = json!({
        "name": name, "roleArn": ROLE, "authorizerType": "NONE", "protocolType": "MCP", "exceptionLevel": "DEBUG",
        "protocolConfiguration": {"mcp": {
            "sessionConfiguration": {"sessionTimeoutInSeconds": 900},
            "streamingConfiguration": {"enableResponseStreaming": true},
        }},
    });
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        members[name] = value;
    }
    members
}

/// Members of a target.
pub fn target(name: &str, endpoint: &str) -> Value {
    json!({"name": name, "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": endpoint}}}})
}
