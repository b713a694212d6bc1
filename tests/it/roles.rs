//! As whom the gateway calls AWS for a gateway: its `roleArn`, and what the configuration says of it.

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::control_client::{Control, gateway as members};
use crate::harness::{Program, eventually, reference_server};
use crate::hook::{Asked, Hook, KEY, SECRET, Says, says};
use crate::modern_client::ModernClient;

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:check";
const TEMPORARY_SECRET: &str = "secret/of+sts";

fn arn(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

/// STS, which takes the process's own key; its keys are named after roles and sessions. With `denies` it gives none.
fn sts(denies: bool) -> Hook {
    Hook::new(move |asked| {
        asked.signed_for("sts").unwrap();
        let form: Vec<(String, String)> = form_urlencoded::parse(&asked.body).into_owned().collect();
        let value = |name: &str| form.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let role = value("RoleArn").rsplit('/').next().unwrap().to_owned();
        if denies {
            let message = "<Message>s3cret trust policy</Message>";
            return Says::Status(
                403,
                format!("<ErrorResponse><Error><Code>AccessDenied</Code>{message}</Error></ErrorResponse>"),
            );
        }
        let session = value("RoleSessionName");
        Says::Status(
            200,
            format!(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{role}</AccessKeyId>\
             <SecretAccessKey>{TEMPORARY_SECRET}</SecretAccessKey><SessionToken>{session}</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
            ),
        )
    })
}

/// Lambda: lets everything pass.
fn lambda() -> Hook {
    Hook::new(|_| says(json!({})))
}

/// S3 with one schema.
fn store() -> Hook {
    Hook::new(|_| Says::Status(200, json!([{"name": "add", "inputSchema": {"type": "object"}}]).to_string()))
}

/// `aws` with the process's own key and these roles (lines of YAML), and what stands in the cloud's place.
fn process(roles: &str, [sts, lambda, s3]: [&Hook; 3]) -> String {
    format!(
        "aws:\n  access_key_id: {KEY}\n  secret_access_key: {SECRET}\n{roles}\
         endpoints: {{sts: \"{}\", lambda: \"{}\", s3: \"{}\"}}\n",
        sts.url, lambda.url, s3.url
    )
}

fn intercepted(role: &str) -> Value {
    let interceptor = json!({"interceptor": {"lambda": {"arn": FUNCTION}}, "interceptionPoints": ["REQUEST"]});
    json!({"roleArn": role, "interceptorConfigurations": [interceptor]})
}

/// A gateway with these members in front of a target; its id, and a client of it.
async fn gateway(control: &Control, name: &str, more: Value, server: &Program) -> (String, ModernClient) {
    let id = control.gateway(name, more).await;
    control.target(&id, "ref", &server.url).await;
    let client = ModernClient::new(&url_of(control, &id).await);
    (id, client)
}

async fn url_of(control: &Control, gateway: &str) -> String {
    control.ok("GET", &format!("/gateways/{gateway}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned()
}

/// A target whose schema is in S3, and what becomes of it.
async fn schema_target(control: &Control, gateway: &str, status: &str, server: &Program) -> Value {
    let configuration = json!({"mcp": {"mcpServer": {"endpoint": server.url, "mcpToolSchema": {"s3": {"uri": "s3://schemas/a.json"}}}}});
    let path = format!("/gateways/{gateway}/targets/");
    let asked = json!({"name": "stored", "targetConfiguration": configuration});
    let made = control.ok("POST", &path, Some(&asked)).await;
    control.settled(&format!("{path}{}/", made["targetId"].as_str().unwrap()), status).await
}

/// The last request was signed with this key; a temporary one has the session as its token.
fn signed(hook: &Hook, service: &str, key: &str, secret: &str, token: Option<&str>) {
    let all: Vec<Asked> = hook.seen();
    let last = all.last().unwrap();
    assert_eq!(last.header("x-amz-security-token"), token, "{last:?}");
    last.signed_by(key, secret, token, service).unwrap();
}

#[tokio::test]
async fn each_gateway_calls_as_its_role() {
    let (sts, lambda, s3, server) = (sts(false), lambda(), store(), reference_server(&[]));
    let roles = format!(
        "  roles:\n    \"{}\": assume\n    \"{}\": own\n    \"{}\": {{access_key_id: AKIDFIXED, secret_access_key: fixed-secret}}\n",
        arn("gateway-*"),
        arn("gateway-own"),
        arn("fixed"),
    );
    let file = format!(
        "gateways: [{{name: file, interceptors: [{{lambda: \"{FUNCTION}\", points: [request]}}], targets: [{{name: ref, mcp: {{url: \"{}\"}}}}]}}]\n",
        server.url
    );
    let control = Control::new("", &format!("{}{file}", process(&roles, [&sts, &lambda, &s3])));
    let program = control.start();

    let (shop, mut client) = gateway(&control, "shop", intercepted(&arn("gateway-shop")), &server).await;
    let session = format!("sessiongate-{shop}");
    for _ in 0..3 {
        client.call("ref___sg_echo", json!({})).await;
        signed(&lambda, "lambda", "ASIAgateway-shop", TEMPORARY_SECRET, Some(&session));
    }
    schema_target(&control, &shop, "READY", &server).await;
    signed(&s3, "s3", "ASIAgateway-shop", TEMPORARY_SECRET, Some(&session));
    assert_eq!(sts.seen().len(), 1, "a role is assumed once");

    for (name, role, key, secret) in
        [("own", "gateway-own", KEY, SECRET), ("fixed", "fixed", "AKIDFIXED", "fixed-secret")]
    {
        let (id, mut client) = gateway(&control, name, intercepted(&arn(role)), &server).await;
        client.call("ref___sg_echo", json!({})).await;
        signed(&lambda, "lambda", key, secret, None);
        schema_target(&control, &id, "READY", &server).await;
        signed(&s3, "s3", key, secret, None);
    }
    // A gateway of the file is the operator's.
    let mut of_file = ModernClient::new(&url_of(&control, &shop).await.replace(&shop, "file"));
    of_file.call("ref___sg_echo", json!({})).await;
    signed(&lambda, "lambda", KEY, SECRET, None);

    // Another role takes effect with the update.
    let path = format!("/gateways/{shop}/");
    control.ok("PUT", &path, Some(&members("shop", intercepted(&arn("gateway-ship"))))).await;
    control.settled(&path, "READY").await;
    client.call("ref___sg_echo", json!({})).await;
    signed(&lambda, "lambda", "ASIAgateway-ship", TEMPORARY_SECRET, Some(&session));
    assert_eq!(sts.seen().len(), 2);
    assert!(!program.log().contains(TEMPORARY_SECRET) && !program.log().contains("fixed-secret"));
}

#[tokio::test]
async fn a_role_that_is_not_listed_is_refused() {
    let (sts, lambda, s3) = (sts(false), lambda(), store());
    let roles = format!("  roles: {{\"{}\": assume}}\n", arn("gateway-*"));
    let control = Control::new("", &process(&roles, [&sts, &lambda, &s3]));
    let _program = control.start();
    let good = control.gateway("shop", json!({"roleArn": arn("gateway-shop")})).await;
    let path = format!("/gateways/{good}/");
    for role in [arn("admin"), arn("Gateway-x"), arn("gateway-x").replace("123456789012", "210987654321")] {
        let wrong = members("shop", json!({"roleArn": role}));
        let other = members("other", json!({"roleArn": role}));
        for answer in
            [control.send("POST", "/gateways/", Some(&other)).await, control.send("PUT", &path, Some(&wrong)).await]
        {
            assert_eq!((answer.status.as_u16(), answer.error.as_deref()), (400, Some("ValidationException")));
            assert_eq!(answer.body["fieldList"][0]["name"], "roleArn");
            let message = answer.body["message"].as_str().unwrap();
            assert!(message.contains("`roleArn`") && message.contains("`aws.roles`"), "{message}");
        }
    }
    let found = control.ok("GET", &path, None).await;
    assert_eq!((&found["roleArn"], &found["status"]), (&json!(arn("gateway-shop")), &json!("READY")));
    assert_eq!(control.ok("GET", "/gateways/", None).await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn where_no_role_is_to_be_had_what_needs_one_is_refused() {
    let (sts, lambda, s3, server) = (sts(true), lambda(), store(), reference_server(&[]));
    let roles = format!("  roles: {{\"{}\": assume}}\n", arn("gateway-*"));
    let control = Control::new("", &process(&roles, [&sts, &lambda, &s3]));
    let program = control.start();
    let (shop, mut client) = gateway(&control, "shop", intercepted(&arn("gateway-shop")), &server).await;
    for _ in 0..5 {
        let answer = client.call("ref___sg_echo", json!({})).await;
        assert_eq!(answer.json["error"]["data"]["reason"], "interceptor_failed", "{}", answer.json);
        for secret in ["role", "AccessDenied", "STS"] {
            assert!(!answer.json.to_string().contains(secret), "{}", answer.json);
        }
    }
    eventually("the operator is told", async || {
        let log = program.log();
        let told = log.contains(&arn("gateway-shop")) && log.contains("STS answered AccessDenied (HTTP 403)");
        assert!(!log.contains("s3cret"), "{log}");
        told.then_some(())
    })
    .await;
    let failed = schema_target(&control, &shop, "FAILED", &server).await;
    let reason = failed["statusReasons"][0].as_str().unwrap();
    assert!(reason.contains("could not be assumed: STS answered AccessDenied"), "{reason}");
    assert!(lambda.seen().is_empty() && s3.seen().is_empty());
    // Five calls and a fetch, within a few seconds; more only where the machine was very slow.
    assert!(sts.seen().len() <= 2, "{}", sts.seen().len());
}

#[tokio::test]
async fn a_role_that_is_listed_no_more_takes_only_what_needs_it() {
    let (sts, lambda, s3, server) = (sts(false), lambda(), store(), reference_server(&[]));
    let control = Control::new("", &process("", [&sts, &lambda, &s3]));
    let mut program = control.start();
    let (shop, mut guarded) = gateway(&control, "shop", intercepted(&arn("any")), &server).await;
    let (open, _) = gateway(&control, "open", json!({"roleArn": arn("any")}), &server).await;
    guarded.call("ref___sg_echo", json!({})).await.result();
    // Without `aws.roles` a role says nothing.
    signed(&lambda, "lambda", KEY, SECRET, None);

    program.terminate();
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control
        .home
        .write_text(&text.replace("endpoints:", &format!("  roles: {{\"{}\": own}}\nendpoints:", arn("other"))));
    let program = control.start();
    // Connections ended with the process.
    let mut guarded = ModernClient::new(&url_of(&control, &shop).await);
    let mut open = ModernClient::new(&url_of(&control, &open).await);
    let answer = guarded.call("ref___sg_echo", json!({})).await;
    assert_eq!(answer.json["error"]["data"]["reason"], "interceptor_failed", "{}", answer.json);
    open.call("ref___sg_echo", json!({})).await.result();
    let failed = schema_target(&control, &shop, "FAILED", &server).await;
    let reason = failed["statusReasons"][0].as_str().unwrap();
    assert!(reason.contains(&arn("any")) && reason.contains("`aws.roles`"), "{reason}");
    assert_eq!((lambda.seen().len(), s3.seen().len()), (1, 0));
    let log = program.log();
    assert!(log.contains("a stored gateway has a role that `aws.roles` does not list"), "{log}");

    // A reload lists it again.
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace(&arn("other"), &arn("a*")));
    eventually("the role is listed", async || {
        guarded.call("ref___sg_echo", json!({})).await.json.get("result").is_some().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_stands_in_a_service_s_place_gets_signed_calls_only() {
    let (sts, lambda, s3) = (sts(false), lambda(), store());
    let control = Control::new("", &process("", [&sts, &lambda, &s3]));
    let _program = control.start();
    // There is no such region: whoever asks the network finds nothing.
    let host = "https://lambda.nowhere-1.amazonaws.com";
    let authorizer = json!({"customJWTAuthorizer": {"discoveryUrl": format!("{host}/evil/.well-known/openid-configuration"),
        "allowedClients": ["a"]}});
    let more = json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": authorizer});
    let guarded = control.gateway("guarded", more).await;
    let url = url_of(&control, &guarded).await;
    // {"alg": "RS256", "kid": "k"} of an issuer with the URL's name.
    let token = |claims: Value| {
        use base64::Engine as _;
        let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(json!({"alg": "RS256", "kid": "k"})), part(claims), part(json!("x")))
    };
    let token = token(json!({"iss": format!("{host}/evil"), "exp": 4_000_000_000_u64, "client_id": "a"}));
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let request = reqwest::Client::new().post(&url).bearer_auth(token).header("content-type", "application/json");
    let answer =
        request.header("accept", "application/json, text/event-stream").body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 503, "{:?}", answer.text().await);

    // Targets are not looked for in `endpoints` at all.
    let open = control.gateway("open", json!({})).await;
    let path = format!("/gateways/{open}/targets/");
    let asked =
        json!({"name": "evil", "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": format!("{host}/evil")}}}});
    let made = control.ok("POST", &path, Some(&asked)).await;
    control.settled(&format!("{path}{}/", made["targetId"].as_str().unwrap()), "FAILED").await;
    for hook in [&sts, &lambda, &s3] {
        assert!(hook.seen().is_empty(), "{:?}", hook.seen());
    }
}
