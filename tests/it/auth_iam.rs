//! Gateways whose callers sign (AWS Signature Version 4), and resource policies.

use std::time::{Duration, SystemTime};

use reqwest::{Request, Response};
use serde_json::{Value, json};
use sessiongate::auth::sigv4::Signer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, LIMIT};
use crate::control_client::{Control, KEY, SECRET};
use crate::harness::{Program, eventually, reference_server};
use crate::issuer::Issuer;
use crate::modern_client::ModernClient;

const GUEST: &str = "AKIDGUESTGUESTGUEST";
const READER: &str = "AKIDREADERREADERREA";
const OTHER: &str = "AKIDOTHERACCOUNTKEY";

struct Scene {
    control: Control,
    program: Program,
    _target: Program,
    id: String,
    url: String,
    arn: String,
}

/// A gateway of the control plane with these members, and a target.
async fn scene(members: Value) -> Scene {
    let key = |id: &str, account: &str, more: &str| {
        format!(
            "    - {{access_key_id: {id}, secret_access_key: {SECRET}, principal: 'arn:aws:iam::{account}:user/{id}'{more}}}\n"
        )
    };
    let more = [
        key(GUEST, "123456789012", ", permissions: ['bedrock-agentcore:InvokeGateway']"),
        key(READER, "123456789012", ", permissions: ['bedrock-agentcore:Get*']"),
        key(OTHER, "210987654321", ""),
    ];
    let (control, target) = (Control::new(&more.concat(), ""), reference_server(&[]));
    let program = control.start();
    let id = control.gateway("shop", members).await;
    control.target(&id, "ref", &target.url).await;
    let shown = control.ok("GET", &format!("/gateways/{id}/"), None).await;
    let text = |member: &str| shown[member].as_str().unwrap().to_owned();
    Scene { control, url: text("gatewayUrl"), arn: text("gatewayArn"), id, program, _target: target }
}

async fn iam() -> Scene {
    scene(json!({"authorizerType": "AWS_IAM"})).await
}

impl Scene {
    async fn policy(&self, statements: Value) {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let path = format!("/resourcepolicy/{}", self.arn.replace(':', "%3A").replace('/', "%2F"));
        self.control.ok("PUT", &path, Some(&json!({"policy": policy}))).await;
    }
}

fn signer(key: &str, secret: &str) -> Signer {
    Signer::new(key, &secret.to_owned().into(), None, "us-east-1", "bedrock-agentcore")
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
}

/// A signed request.
fn signed(request: reqwest::RequestBuilder, key: &str, at: SystemTime) -> Request {
    let mut request = request.build().unwrap();
    signer(key, SECRET).apply(&mut request, at).unwrap();
    request
}

async fn send(request: Request) -> Response {
    reqwest::Client::builder().timeout(LIMIT).build().unwrap().execute(request).await.unwrap()
}

async fn call(url: &str, key: &str) -> Response {
    send(signed(Client::new(url).post(&initialize()), key, SystemTime::now())).await
}

fn refusal(response: &Response) -> (u16, &str) {
    let kind = response.headers().get("x-amzn-errortype").map(|kind| kind.to_str().unwrap());
    (response.status().as_u16(), kind.unwrap_or_default())
}

#[tokio::test]
async fn who_signs_with_a_permitted_key_gets_in() {
    let scene = iam().await;
    let url = &scene.url;
    for key in [KEY, GUEST] {
        assert_eq!(call(url, key).await.status(), 200);
    }
    let client = ModernClient::new(url);
    let body = client.message_with(json!(1), "tools/call", json!({"name": "ref___sg_echo", "arguments": {}}));
    let answer = send(signed(client.post(&body), GUEST, SystemTime::now())).await;
    assert_eq!(answer.status(), 200);

    assert_eq!(refusal(&call(url, READER).await), (403, "AccessDeniedException"));
    assert_eq!(refusal(&call(url, "AKIDNOBODYNOBODYNOB").await), (403, "UnrecognizedClientException"));
    assert_eq!(refusal(&call(url, OTHER).await), (403, "AccessDeniedException"), "another account");
    let plain = Client::new(url).post(&initialize()).send().await.unwrap();
    assert_eq!(refusal(&plain), (403, "MissingAuthenticationTokenException"));
    let body: Value = serde_json::from_slice(&plain.bytes().await.unwrap()).unwrap();
    assert_eq!((&body["jsonrpc"], &body["error"]["data"]["reason"]), (&json!("2.0"), &json!("signature_refused")));
    let bearer = Client::with_key(url, "token").post(&initialize()).send().await.unwrap();
    assert_eq!(refusal(&bearer).0, 403);
}

#[tokio::test]
async fn a_signature_is_for_one_request_at_one_time() {
    let scene = iam().await;
    let (url, now) = (&scene.url, SystemTime::now());
    let make = || Client::new(url).post(&initialize()).header("x-tenant", "a");
    for skew in [now - Duration::from_secs(400), now + Duration::from_secs(400)] {
        assert_eq!(refusal(&send(signed(make(), GUEST, skew)).await), (403, "InvalidSignatureException"));
    }
    let mut body = signed(make(), GUEST, now);
    *body.body_mut() = Some(initialize().to_string().replace("\"t\"", "\"u\"").into());
    assert_eq!(refusal(&send(body).await), (403, "InvalidSignatureException"));
    let mut header = signed(make(), GUEST, now);
    header.headers_mut().insert("x-tenant", "b".parse().unwrap());
    assert_eq!(refusal(&send(header).await), (403, "InvalidSignatureException"));
    let mut path = signed(make(), GUEST, now);
    path.url_mut().set_query(Some("max_name_length=40"));
    assert_eq!(refusal(&send(path).await), (403, "InvalidSignatureException"));

    // A repetition: let through while clocks count the same seconds, refused from then on.
    let request = signed(make(), GUEST, now);
    assert_eq!(send(request.try_clone().unwrap()).await.status(), 200);
    eventually("the repetition is refused", async || {
        let again = send(request.try_clone().unwrap()).await;
        (refusal(&again) == (403, "InvalidSignatureException")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_before_a_restart_is_not_carried_out_again() {
    let mut scene = iam().await;
    let make = |at| signed(Client::new(&scene.url).post(&initialize()), GUEST, at);
    let now = SystemTime::now();
    let [stolen, slow] = [now, now - Duration::from_secs(200)].map(make);
    assert_eq!(send(stolen.try_clone().unwrap()).await.status(), 200);
    scene.program.kill();
    scene.program = scene.control.start();
    // For some seconds others of that time may be on their way still.
    let mut number = 0;
    eventually("what was signed then is refused", async || {
        number += 1;
        let other = Client::new(&scene.url).post(&initialize()).header("x-number", number);
        let answer = send(signed(other, GUEST, now)).await;
        assert!(matches!(refusal(&answer).0, 200 | 429), "{answer:?}");
        (refusal(&answer) == (429, "ThrottlingException")).then_some(())
    })
    .await;
    assert_eq!(refusal(&send(stolen).await), (429, "ThrottlingException"));
    let refused = send(slow).await;
    assert_eq!(refusal(&refused), (429, "ThrottlingException"));
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((195..=300).contains(&wait), "as long as the clock is slow: {wait}");
    let body: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["data"]["reason"], "signature_refused");
    assert_eq!(call(&scene.url, GUEST).await.status(), 200);
}

/// Clients sign all that they send (botocore, mcp-proxy-for-aws, the SDKs for JavaScript and Go), or nothing of MCP.
#[tokio::test]
async fn of_the_headers_of_mcp_all_are_signed_or_none() {
    let scene = iam().await;
    let created = call(&scene.url, GUEST).await;
    let session = created.headers()["mcp-session-id"].clone();
    let mut client = Client::new(&scene.url);
    let ping = client.request("ping", json!({}));
    let bare = || client.http.post(&scene.url).header("content-type", "application/json").body(ping.to_string());
    let add = |mut request: Request, name: &'static str, value: &str| {
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let accept = |request| add(request, "accept", "application/json, text/event-stream");
    let session = |request| add(request, "mcp-session-id", session.to_str().unwrap());

    let least = session(accept(signed(bare(), GUEST, SystemTime::now())));
    let least = add(least, "mcp-protocol-version", "2025-11-25");
    assert_eq!(send(least).await.status(), 200);
    let most = bare().header("mcp-session-id", &created.headers()["mcp-session-id"]);
    let most = most.header("mcp-protocol-version", "2025-11-25");
    assert_eq!(send(accept(signed(most, GUEST, SystemTime::now()))).await.status(), 200);

    let one = bare().header("mcp-protocol-version", "2025-11-25");
    let swapped = session(accept(signed(one, GUEST, SystemTime::now())));
    let refused = send(swapped).await;
    assert_eq!(refusal(&refused), (403, "IncompleteSignatureException"));
    let body: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert!(body["error"]["message"].as_str().unwrap().contains("mcp-session-id"), "{body}");
}

#[tokio::test]
async fn a_session_belongs_to_the_arn_that_signs() {
    let scene = iam().await;
    let created = call(&scene.url, GUEST).await;
    let mut client = Client::new(&scene.url);
    client.session = Some(created.headers()["mcp-session-id"].to_str().unwrap().to_owned());
    let ping = client.request("ping", json!({}));
    let status = async |key: &str| send(signed(client.post(&ping), key, SystemTime::now())).await.status().as_u16();
    assert_eq!(status(KEY).await, 404);
    assert_eq!(status(GUEST).await, 200);
    let get = client.with_session(client.http.get(&scene.url)).header("accept", "text/event-stream");
    assert_eq!(send(signed(get, GUEST, SystemTime::now())).await.status(), 200);
    let end = client.with_session(client.http.delete(&scene.url));
    assert_eq!(send(signed(end, GUEST, SystemTime::now())).await.status(), 204);
}

#[tokio::test]
async fn a_policy_lets_in_and_keeps_out() {
    let scene = iam().await;
    let url = &scene.url;
    let statement = |effect: &str, principal: Value| json!({"Effect": effect, "Principal": principal, "Action": "bedrock-agentcore:InvokeGateway", "Resource": scene.arn});
    scene.policy(json!([statement("Allow", json!({"AWS": "210987654321"}))])).await;
    assert_eq!(call(url, OTHER).await.status(), 200, "allowed by name");
    assert_eq!(call(url, GUEST).await.status(), 200, "of the same account: the key's permissions do");
    let guest = json!({"AWS": format!("arn:aws:iam::123456789012:user/{GUEST}")});
    scene.policy(json!([statement("Allow", json!("*")), statement("Deny", guest)])).await;
    assert_eq!(refusal(&call(url, GUEST).await), (403, "AccessDeniedException"));
    assert_eq!(call(url, OTHER).await.status(), 200);
    assert_eq!(call(url, KEY).await.status(), 200);
}

#[tokio::test]
async fn a_policy_must_allow_everybody_for_callers_without_an_arn() {
    let issuer = Issuer::start().await;
    let jwt = json!({"customJWTAuthorizer": {"discoveryUrl": issuer.discovery_url(), "allowedAudience": ["gw"]}});
    let scene = scene(json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": jwt})).await;
    let open = scene.control.gateway("open", json!({})).await;
    let open_url = scene.url.replace(&scene.id, &open);
    let token = issuer.token("ada");
    let status = async || Client::with_key(&scene.url, &token).post(&initialize()).send().await.unwrap().status();
    assert_eq!(status().await, 200);
    let elsewhere = issuer.token_with(&json!({"aud": "https://api.example"}));
    let refused = Client::with_key(&scene.url, &elsewhere).post(&initialize()).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let body: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["data"]["reason"], "token_audience");
    let statement = |principal: Value| json!([{"Effect": "Allow", "Principal": principal, "Action": "bedrock-agentcore:*", "Resource": "*"}]);
    scene.policy(statement(json!({"AWS": "123456789012"}))).await;
    assert_eq!(status().await, 403);
    scene.policy(statement(json!("*"))).await;
    assert_eq!(status().await, 200);
    // The same for a gateway that asks nobody who they are; the source address is known all the same.
    let anonymous = async || Client::new(&open_url).post(&initialize()).send().await.unwrap().status();
    assert_eq!(anonymous().await, 200);
    let mut own = statement(json!("*"));
    own[0]["Condition"] = json!({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}});
    let scene = Scene { arn: scene.arn.replace(&scene.id, &open), ..scene };
    scene.policy(own).await;
    assert_eq!(anonymous().await, 403);
}

/// Whoever cannot have signed is told so before they send a body: it would only take memory.
#[tokio::test]
async fn a_body_without_a_signature_is_not_waited_for() {
    let scene = iam().await;
    let text = std::fs::read_to_string(scene.control.home.file()).unwrap();
    let control = text.lines().find_map(|line| line.strip_prefix("  listen: ")).unwrap();
    let (data, path) = scene.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let scope = "20200101/us-east-1/bedrock-agentcore/aws4_request";
    let signature = "0".repeat(64);
    let old = |key: &str| {
        format!(
            "x-amz-date: 20200101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 Credential={key}/{scope}, \
             SignedHeaders=host;x-amz-date, Signature={signature}\r\n"
        )
    };
    for (address, path) in [(control, "gateways/"), (data, path)] {
        let plain = ("", "MissingAuthenticationTokenException");
        let [known, unknown] = [old(KEY), old("AKIDNOBODYKNOWSIT")];
        let old = "InvalidSignatureException";
        for (headers, error) in [plain, (&known, old), (&unknown, old)] {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let head = format!("POST /{path} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: 5000000\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            let mut answer = vec![0; 4096];
            let read = tokio::time::timeout(LIMIT, connection.read(&mut answer)).await.expect(path).unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            assert!(answer.starts_with("HTTP/1.1 403") && answer.contains(error), "{path} {headers}: {answer}");
        }
    }
}
