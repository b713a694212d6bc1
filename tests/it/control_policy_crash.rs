//! Resource policies of a process that was killed: the next one asks them before it answers anybody.

use std::time::SystemTime;

use serde_json::{Value, json};
use sessiongate::auth::sigv4::Signer;

use crate::client::Client;
use crate::control_client::{Control, SECRET};
use crate::harness::{Program, eventually};

/// Of another account.
const OTHER: &str = "AKIDOTHERACCOUNTKEY";
const DENY: &str = r#"{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}]}"#;
const ALLOW_OTHER: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "210987654321"},
    "Action": "bedrock-agentcore:InvokeGateway", "Resource": "*"}]}"#;

/// A gateway in a process that is killed and started again, and who calls it.
struct Scene {
    control: Control,
    program: Program,
    url: String,
    policy: String,
    signer: Option<Signer>,
}

// === impl Scene ===

impl Scene {
    async fn new(control: Control, id: &str, program: Program, signer: Option<Signer>) -> Self {
        let read = control.ok("GET", &format!("/gateways/{id}/"), None).await;
        let text = |member: &str| read[member].as_str().unwrap().to_owned();
        let arn = text("gatewayArn").replace(':', "%3A").replace('/', "%2F");
        Self { url: text("gatewayUrl"), policy: format!("/resourcepolicy/{arn}"), control, program, signer }
    }

    async fn put(&self, policy: &str) {
        self.control.ok("PUT", &self.policy, Some(&json!({"policy": policy}))).await;
    }

    async fn delete(&self) {
        self.control.ok("DELETE", &self.policy, None).await;
    }

    /// Sends an `initialize`; an error while nobody listens.
    async fn try_call(&self) -> reqwest::Result<u16> {
        let mut client = Client::new(&self.url);
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let body = client.request("initialize", params);
        let mut request = client.post(&body).build()?;
        if let Some(signer) = &self.signer {
            signer.apply(&mut request, SystemTime::now()).unwrap();
        }
        Ok(client.http.execute(request).await?.status().as_u16())
    }

    async fn call(&self) -> u16 {
        self.try_call().await.unwrap()
    }

    /// Kills the process and calls the next one from its first moment on; each of its answers until it is ready.
    async fn answers_of_the_next(&mut self) -> Vec<u16> {
        self.program.kill();
        self.program = self.control.home.again_at_once();
        let mut answers = Vec::new();
        eventually("it is ready", async || {
            answers.extend(self.try_call().await);
            let ready = self.control.try_send("GET", "/gateways/", None).await.is_ok();
            (ready && !answers.is_empty()).then_some(())
        })
        .await;
        answers.push(self.call().await);
        answers
    }
}

fn assert_all(answers: &[u16], status: u16) {
    assert!(answers.iter().all(|answer| *answer == status), "{answers:?}, and not {status}");
}

#[tokio::test]
async fn who_was_refused_is_refused_from_the_first_answer_on() {
    let control = Control::new("", "");
    let program = control.start();
    let id = control.gateway("shop", json!({})).await;
    let mut scene = Scene::new(control, &id, program, None).await;
    assert_eq!(scene.call().await, 200);
    scene.put(DENY).await;
    assert_all(&scene.answers_of_the_next().await, 403);
    let read = scene.control.ok("GET", &scene.policy, None).await;
    assert_eq!(read["policy"], DENY);
    scene.delete().await;
    assert_all(&scene.answers_of_the_next().await, 200);
    assert_eq!(scene.control.ok("GET", &scene.policy, None).await, json!({}));
}

#[tokio::test]
async fn who_was_let_in_is_let_in_from_the_first_answer_on() {
    let key = format!(
        "    - {{access_key_id: {OTHER}, secret_access_key: {SECRET}, principal: 'arn:aws:iam::210987654321:user/o'}}\n"
    );
    let control = Control::new(&key, "");
    let program = control.start();
    let id = control.gateway("shop", json!({"authorizerType": "AWS_IAM"})).await;
    let signer = Signer::new(OTHER, &SECRET.to_owned().into(), None, "us-east-1", "bedrock-agentcore");
    let mut scene = Scene::new(control, &id, program, Some(signer)).await;
    assert_eq!(scene.call().await, 403);
    scene.put(ALLOW_OTHER).await;
    assert_all(&scene.answers_of_the_next().await, 200);
    scene.delete().await;
    assert_all(&scene.answers_of_the_next().await, 403);
}

/// A gateway of the file keeps its policy while it is not there, and whoever starts with it again asks it.
#[tokio::test]
async fn a_declared_gateway_comes_back_with_its_policy() {
    let target = "    targets: [{name: x, mcp: {url: \"http://127.0.0.1:1/mcp\"}, required: false}]\n";
    let desk = &format!("  - name: desk\n{target}");
    let control = Control::new("", &format!("gateways:\n  - name: other\n{target}{desk}"));
    let program = control.start();
    let listed: Value = control.ok("GET", "/gateways/", None).await;
    let listed = listed["items"].as_array().unwrap();
    let id = listed.iter().find(|item| item["name"] == "desk").unwrap()["gatewayId"].as_str().unwrap().to_owned();
    let mut scene = Scene::new(control, &id, program, None).await;
    assert_eq!(scene.call().await, 200);
    scene.put(DENY).await;
    assert_all(&scene.answers_of_the_next().await, 403);

    let with = std::fs::read_to_string(scene.control.home.file()).unwrap();
    scene.control.configure(desk, "");
    assert_all(&scene.answers_of_the_next().await, 404);
    scene.control.home.write_text(&with);
    assert_all(&scene.answers_of_the_next().await, 403);

    // The same where it comes back into a process that never had it.
    scene.control.configure(desk, "");
    assert_all(&scene.answers_of_the_next().await, 404);
    scene.control.home.write_text(&with);
    let first = eventually("it is back", async || {
        let answer = scene.call().await;
        (answer != 404).then_some(answer)
    })
    .await;
    assert_eq!(first, 403);
}
