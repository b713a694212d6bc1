//! Under which URLs gateways are known: what a client is told is what tokens for it are accepted for, and no gateway gets
//! another one's.

use std::path::Path;

use reqwest::Response;
use reqwest::header::{HOST, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::Control;
use crate::harness::{Home, free_port, http_target, reference_server, sessiongate};
use crate::issuer::Issuer;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const STRICT: &str = "strict_audience: true";

/// `initialize` at this URL, under this host.
pub async fn initialize(url: &str, host: Option<&str>, token: Option<&str>) -> Response {
    let mut client = token.map_or_else(|| Client::new(url), |token| Client::with_key(url, token));
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let request = client.request("initialize", params);
    let request = client.post(&request);
    host.map_or(request.try_clone().unwrap(), |host| request.header(HOST, host)).send().await.unwrap()
}

/// What the answer to `initialize` calls the gateway; its status where there is none.
pub async fn title(response: Response) -> String {
    let status = response.status();
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
    answer["result"]["serverInfo"]["title"].as_str().map_or_else(|| status.as_u16().to_string(), str::to_owned)
}

/// The `resource` of the document that a challenge leads to, read under the same host.
async fn advertised(refused: &Response, base: &str, host: &str) -> Value {
    let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let url = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let path = &url[url.find(WELL_KNOWN).unwrap()..];
    let document = reqwest::Client::new().get(format!("{base}{path}")).header(HOST, host).send().await.unwrap();
    assert_eq!(document.status(), 200, "{url}");
    document.json::<Value>().await.unwrap()["resource"].clone()
}

/// Writes a file of gateways below what `Home` writes, listening on `listen`.
fn write(home: &Home, listen: Option<&str>, gateways: &str) -> String {
    home.write("targets: []");
    let text = std::fs::read_to_string(home.file()).unwrap();
    let head = text.split("gateways:").next().unwrap();
    let port = head.lines().find_map(|line| line.strip_prefix("listen: 127.0.0.1:")).unwrap().to_owned();
    let head = match listen {
        Some(address) => head.replacen("127.0.0.1", address, 1),
        None => head.to_owned(),
    };
    home.write_text(&format!("{head}gateways:\n{gateways}"));
    port
}

fn check(file: &Path, code: i32) -> String {
    let output = sessiongate(&["check", "--offline", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_gateway_at_the_root_can_be_signed_in_to() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let targets = http_target("ref", &target.url, "");
    let targets = targets.trim();
    let strict = issuer.authorizer_of("jwt", STRICT);
    let port = write(
        &home,
        None,
        &format!(
            "  - name: root\n    path: /\n    {strict}\n    targets:\n    {targets}\n  - name: shop\n    {strict}\n    targets:\n    {targets}\n"
        ),
    );
    let _program = home.again();
    let (base, host) = (format!("http://127.0.0.1:{port}"), format!("127.0.0.1:{port}"));
    let refused = initialize(&base, None, None).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(advertised(&refused, &base, &host).await, json!(base));
    let shop = format!("{base}/gateways/shop/mcp");
    // The SDKs ask for the URL with a slash; what counts is which resource it is.
    let upper = base.replace("http://127.0.0.1", "HTTP://LOCALHOST");
    for audience in [base.clone(), format!("{base}/"), upper.clone(), format!("{upper}/")] {
        let token = issuer.token_with(&json!({"aud": audience}));
        assert_eq!(initialize(&base, None, Some(&token)).await.status(), 200, "{audience}");
        assert_eq!(initialize(&shop, None, Some(&token)).await.status(), 401, "{audience} is another gateway's");
    }
    for audience in [format!("{shop}/"), shop.replace("http:", "HTTP:")] {
        let token = issuer.token_with(&json!({"aud": [audience]}));
        assert_eq!(initialize(&shop, None, Some(&token)).await.status(), 200, "{audience}");
        assert_eq!(initialize(&base, None, Some(&token)).await.status(), 401, "{audience} is another gateway's");
    }
    for audience in [shop.replace("http:", "https:"), format!("{shop}/x"), "/gateways/shop/mcp".into()] {
        let token = issuer.token_with(&json!({"aud": audience}));
        assert_eq!(initialize(&shop, None, Some(&token)).await.status(), 401, "{audience}");
    }
}

#[tokio::test]
async fn an_audience_of_the_configuration_is_compared_to_the_letter() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let rules = issuer.authorizer_of("jwt", "allowed_audience: [\"https://api.example\"]");
    let gateway = home.configured(&format!("{rules}\ntargets:\n{}", http_target("ref", &target.url, "")));
    for (audience, status) in
        [("https://api.example", 200), ("https://api.example/", 401), ("HTTPS://api.example", 401)]
    {
        let token = issuer.token_with(&json!({"aud": audience}));
        assert_eq!(initialize(&gateway.url, None, Some(&token)).await.status(), status, "{audience}");
    }
}

/// A client that is told the wrong one signs in for ever.
#[tokio::test]
async fn a_token_for_the_resource_that_is_advertised_is_accepted() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let (strict, targets) = (issuer.authorizer_of("jwt", STRICT), http_target("ref", &target.url, ""));
    let named = issuer.authorizer_of("jwt", "allowed_audience: [gw]");
    let gateways = format!(
        "  - name: shop\n    {strict}\n    targets:\n    {}\n  - name: named\n    {named}\n    targets:\n    {}\n",
        targets.trim(),
        targets.trim()
    );
    for listen in ["127.0.0.1", "0.0.0.0"] {
        let port = write(&home, Some(listen), &gateways);
        let program = home.again();
        let base = format!("http://127.0.0.1:{port}");
        let url = format!("{base}/gateways/shop/mcp");
        let mut hosts = vec![
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            format!("app.localhost:{port}"),
            format!("127.0.0.9:{port}"),
            format!("[::1]:{port}"),
            "localhost".to_owned(),
        ];
        let foreign = format!("gw.corp.example:{port}");
        if listen == "0.0.0.0" {
            hosts.push(foreign.clone());
        }
        for host in &hosts {
            let refused = initialize(&url, Some(host), None).await;
            assert_eq!(refused.status(), 401, "{host}");
            let resource = advertised(&refused, &base, host).await;
            let token = issuer.token_with(&json!({"aud": resource}));
            let status = initialize(&url, Some(host), Some(&token)).await.status();
            assert_eq!(status, 200, "{listen} as {host}: a token for {resource}");
        }
        // Where the issuer says what its tokens are for, the client's own name for the gateway is as good as any.
        if listen == "0.0.0.0" {
            let url = format!("{base}/gateways/named/mcp");
            let refused = initialize(&url, Some(&foreign), None).await;
            let resource = advertised(&refused, &base, &foreign).await;
            assert_eq!(resource, format!("http://{foreign}/gateways/named/mcp"));
        }
        let warned = |text: &str| text.contains("gateway `shop`") && text.contains("`public_url`");
        let open = listen == "0.0.0.0";
        assert_eq!(warned(&check(&home.file(), 0)), open, "{}", check(&home.file(), 0));
        assert_eq!(warned(&program.log()), open, "{}", program.log());
        assert!(!program.log().contains("gateway `named`"), "{}", program.log());
    }
}

#[tokio::test]
async fn the_url_of_a_domain_has_the_scheme_and_the_port_of_the_public_one() {
    for (public, url) in [
        ("", "https://shop.example/mcp".to_owned()),
        ("public_url: https://gw.example/deep", "https://shop.example/mcp".into()),
        ("public_url: https://gw.example:8443", "https://shop.example:8443/mcp".into()),
        ("public_url: http://gw.internal", "http://shop.example/mcp".into()),
        ("public_url: http://127.0.0.1:21000", "http://shop.example:21000/mcp".into()),
    ] {
        let control = Control::new("", &if public.is_empty() { String::new() } else { format!("{public}\n") });
        let _program = control.start();
        let id = control.gateway("shop", json!({"domainOverride": {"default": "shop.example"}})).await;
        let shown = control.ok("GET", &format!("/gateways/{id}/"), None).await;
        assert_eq!(shown["gatewayUrl"], url, "{public}");
    }
}

#[test]
fn a_service_that_nobody_calls_is_remarked_on() {
    let home = Home::new();
    let base = format!("http://127.0.0.1:{}", free_port());
    let write = |key: &str| {
        home.write(&format!(
            "! endpoints: {{\"{key}\": \"{base}\"}}\ntargets:\n{}",
            http_target("ref", "https://example.com/mcp", "")
        ));
    };
    for (key, meant) in
        [("lamda", "lambda"), ("S4", "s3"), ("lamda.us-east-1.amazonaws.com", "lambda"), ("sts2", "sts")]
    {
        write(key);
        let said = check(&home.file(), 0);
        assert!(said.contains(&format!("`{key}`")) && said.contains(&format!("`{meant}`")), "{key}: {said}");
    }
    for key in ["lambda", "kms", "keycloak", "s3.us-east-1.amazonaws.com", "cognito-idp.us-east-1.amazonaws.com:443"] {
        write(key);
        assert!(!check(&home.file(), 0).contains("endpoints"), "{key}");
    }
    write("auth.example:0");
    assert!(check(&home.file(), 2).contains("auth.example:0"));
    home.write(&format!("! aws: {{region: \"\"}}\ntargets:\n{}", http_target("ref", "https://example.com/mcp", "")));
    assert!(check(&home.file(), 2).contains("aws.region"));
}
