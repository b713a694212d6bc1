//! How a client finds the authorization server of a gateway, at whatever host it knows the gateway.

use reqwest::header::{HOST, ORIGIN, WWW_AUTHENTICATE};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::client::Client;
use crate::control_client::{Control, gateway};
use crate::harness::{Home, Program, http_target, reference_server};
use crate::issuer::{Issuer, ready};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const DOMAIN: &str = "x-amzn-bedrock-agentcore-gateway-domain";

async fn get(program: &Program, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = reqwest::Client::new().get(format!("{}{path}", program.base()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// The URL in the challenge of a request without a token.
fn metadata_url(response: &Response) -> String {
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
}

#[tokio::test]
async fn a_client_goes_from_the_challenge_to_the_issuer() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let gateway = home.configured(&format!(
        "{}\ntargets:\n{}",
        issuer.authorizer("allowed_scopes: [shop/read]"),
        http_target("ref", &target.url, "")
    ));
    // A process on a developer's machine has several names; the client compares with the one that it used.
    for url in [gateway.url.clone(), gateway.url.replace("127.0.0.1", "localhost")] {
        let refused = Client::new(&url).post(&json!({})).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        let document: Value = {
            let found = reqwest::get(metadata_url(&refused)).await.unwrap();
            assert_eq!(found.headers()["access-control-allow-origin"], "*");
            serde_json::from_slice(&found.bytes().await.unwrap()).unwrap()
        };
        assert_eq!(
            document,
            json!({"resource": url, "authorization_servers": [issuer.url], "scopes_supported": ["shop/read"],
                "bearer_methods_supported": ["header"]})
        );
    }
    // It is the only one, so the root says the same; and pages of any origin may read it.
    let (status, root) = get(&gateway, WELL_KNOWN, &[("origin", "https://app.example")]).await;
    assert_eq!((status, &root["resource"]), (200, &json!(gateway.url)));
    let asks = reqwest::Client::new()
        .request(Method::OPTIONS, format!("{}{WELL_KNOWN}/mcp", gateway.base()))
        .header(ORIGIN, "https://app.example")
        .header("access-control-request-headers", "mcp-protocol-version")
        .send()
        .await
        .unwrap();
    assert_eq!((asks.status().as_u16(), &asks.headers()["access-control-allow-headers"]), (204, &"*".parse().unwrap()));
    assert_eq!(get(&gateway, &format!("{WELL_KNOWN}/other"), &[]).await.0, 404);
    assert_eq!(get(&gateway, WELL_KNOWN, &[("host", "evil.example")]).await.0, 403);
    // The name that the client knows is what a token may be for.
    let own = issuer.token_with(&json!({"aud": gateway.url.replace("127.0.0.1", "localhost")}));
    ready(&gateway.url, &own).await;
}

#[tokio::test]
async fn gateways_are_told_apart_by_path_and_by_host() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let targets = http_target("ref", &target.url, "");
    let targets = targets.trim();
    let other = Issuer::start().await;
    home.write("targets: []");
    let text = std::fs::read_to_string(home.file()).unwrap();
    let head = text.split("gateways:").next().unwrap();
    home.write_text(&format!(
        "{head}public_url: http://gw.example\ngateways:\n  - name: shop\n    hosts: [Shop.example]\n    {}\n    targets:\n    {targets}\n  \
         - name: bank\n    {}\n    targets:\n    {targets}\n  - name: open\n    path: /mcp\n    targets:\n    {targets}\n",
        issuer.authorizer(""),
        other.authorizer(""),
    ));
    let _program = home.again();
    let port = text.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap();
    let at = |path: &str| format!("http://{port}{path}");
    let read = async |path: &str, host: Option<&str>| {
        let mut request = reqwest::Client::new().get(at(path));
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        (status, body["resource"].clone(), body["authorization_servers"][0].clone())
    };
    let shop = json!("http://gw.example/gateways/shop/mcp");
    assert_eq!(read(&format!("{WELL_KNOWN}/gateways/shop/mcp"), None).await, (200, shop, json!(issuer.url)));
    let bank = json!("http://gw.example/gateways/bank/mcp");
    assert_eq!(read(&format!("{WELL_KNOWN}/gateways/bank/mcp"), None).await, (200, bank, json!(other.url)));
    assert_eq!(read(WELL_KNOWN, None).await.0, 404, "two gateways have one");
    assert_eq!(read(&format!("{WELL_KNOWN}/mcp"), None).await.0, 404, "it asks for no token");
    let own = (200, json!("http://shop.example/mcp"), json!(issuer.url));
    assert_eq!(read(WELL_KNOWN, Some("shop.example")).await, own);
    assert_eq!(read(&format!("{WELL_KNOWN}/mcp"), Some("shop.EXAMPLE")).await, own);

    // At its own host it is served under /mcp, where another gateway is at all other hosts.
    let initialize = async |path: &str, host: &str, token: &str| {
        let mut client = Client::with_key(&at(path), token);
        let body = client.request(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}}),
        );
        client.post(&body).header(HOST, host).send().await.unwrap()
    };
    let token = issuer.token("ada");
    assert_eq!(initialize("/mcp", "shop.example", &token).await.status(), 200);
    let refused = initialize("/mcp", "shop.example", "x").await;
    assert_eq!(refused.status(), 401);
    assert_eq!(metadata_url(&refused), "http://shop.example/.well-known/oauth-protected-resource/mcp");
    assert_eq!(initialize("/mcp", "gw.example", "x").await.status(), 200, "the gateway that asks nobody");
    assert_eq!(initialize("/mcp", "evil.example", &token).await.status(), 403);
    assert_eq!(initialize("/gateways/shop/mcp", "shop.example", &token).await.status(), 200);
    let for_host = other.token_with(&json!({"aud": "http://shop.example/mcp"}));
    assert_eq!(
        initialize("/gateways/bank/mcp", "gw.example", &for_host).await.status(),
        401,
        "another gateway's token"
    );
    let for_host = issuer.token_with(&json!({"aud": "http://shop.example/mcp"}));
    assert_eq!(initialize("/mcp", "shop.example", &for_host).await.status(), 200);
}

#[tokio::test]
async fn a_created_gateway_has_hosts_of_its_own() {
    let (target, issuer) = (reference_server(&[]), Issuer::start().await);
    let control = Control::new("", "");
    let _program = control.start();
    let jwt = json!({"customJWTAuthorizer": {"discoveryUrl": issuer.discovery_url(), "allowedAudience": ["gw"]}});
    let with = |more: Value| {
        let mut members = json!({"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": jwt});
        for (name, value) in more.as_object().unwrap() {
            members[name] = value.clone();
        }
        members
    };
    let id = control.gateway("shop", with(json!({}))).await;
    control.target(&id, "ref", &target.url).await;
    let base = control.ok("GET", &format!("/gateways/{id}/"), None).await["gatewayUrl"].as_str().unwrap().to_owned();
    let base = base.split("/gateways/").next().unwrap().to_owned();
    let port = base.rsplit(':').next().unwrap().to_owned();
    let call = async |host: &str, path: &str, header: Option<&str>| {
        let client = Client::new(&format!("{base}{path}"));
        let mut request = client.post(&json!({})).header(HOST, host);
        if let Some(domain) = header {
            request = request.header(DOMAIN, domain);
        }
        request.send().await.unwrap()
    };
    // By its id, below a host of the process: every other name that leads here may be an attacker's.
    let host = format!("{id}.localhost:{port}");
    let refused = call(&host, "/mcp", None).await;
    assert_eq!(refused.status(), 401);
    assert!(metadata_url(&refused).contains(&host), "{}", metadata_url(&refused));
    for host in [format!("{id}.gateways.example"), "other-0123456789.gateways.example".to_owned()] {
        assert_eq!(call(&host, "/mcp", None).await.status(), 403, "{host}");
        assert_eq!(call(&host, &format!("/gateways/{id}/mcp"), None).await.status(), 403, "{host}");
    }

    // With domains of its own, it is known by those.
    let domains = json!({"default": "shop.example", "alternateDomains": ["shop.internal"]});
    let own = control.gateway("own", with(json!({"domainOverride": domains}))).await;
    let path = format!("/gateways/{own}/mcp");
    let told = |response: &Response| metadata_url(response);
    assert_eq!(told(&call("127.0.0.1", &path, None).await), format!("https://shop.example{WELL_KNOWN}/mcp"));
    let chosen = call("127.0.0.1", &path, Some("Shop.internal")).await;
    assert_eq!(told(&chosen), format!("https://shop.internal{WELL_KNOWN}/mcp"));
    assert_eq!(call("127.0.0.1", &path, Some("evil.example")).await.status(), 400);
    assert_eq!(call("shop.example", &path, None).await.status(), 401);
    assert_eq!(call("shop.example", &format!("/gateways/{id}/mcp"), None).await.status(), 403, "another gateway");
    assert_eq!(told(&call("shop.internal", "/mcp", None).await), format!("https://shop.internal{WELL_KNOWN}/mcp"));
    let document = reqwest::Client::new().get(format!("{base}{WELL_KNOWN}{path}")).header(DOMAIN, "shop.internal");
    let document: Value = serde_json::from_slice(&document.send().await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(document["resource"], "https://shop.internal/mcp");
    let unknown = reqwest::Client::new().get(format!("{base}{WELL_KNOWN}{path}")).header(DOMAIN, "evil.example");
    assert_eq!(unknown.send().await.unwrap().status(), 400);
}

/// Whoever may create gateways gets nothing that is sent to others.
#[tokio::test]
async fn a_domain_of_others_cannot_be_taken_over() {
    let target = reference_server(&[]);
    let control = Control::new("", "public_url: http://gw.example\nallowed_hosts: [Internal.example:80]\n");
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    let targets = http_target("ref", &target.url, "");
    control.home.write_text(&format!(
        "{text}gateways:\n  - name: open\n    path: /mcp\n    hosts: [Open.example]\n    targets:\n    {}\n",
        targets.trim()
    ));
    let program = control.start();
    let create = async |name: &str, domains: Value| {
        let members = gateway(name, json!({"domainOverride": domains}));
        control.send("POST", "/gateways/", Some(&members)).await
    };
    for domain in ["127.0.0.1", "a.localhost", "gw.example", "GW.Example", "internal.example"] {
        let answer = create("thief", json!({"default": domain})).await;
        assert_eq!(answer.error.as_deref(), Some("ValidationException"), "{domain}: {answer:?}");
        assert_eq!(answer.body["fieldList"][0]["name"], "domainOverride.default", "{domain}: {answer:?}");
    }
    let second = create("thief", json!({"default": "fine.example", "alternateDomains": ["b.localhost"]})).await;
    assert_eq!(second.body["fieldList"][0]["name"], "domainOverride.alternateDomains[0]", "{second:?}");

    let shop = control.gateway("shop", json!({"domainOverride": {"default": "shop.example"}})).await;
    for domain in ["open.example", "OPEN.example", "shop.example", "Shop.Example"] {
        for domains in [json!({"default": domain}), json!({"default": "fine.example", "alternateDomains": [domain]})] {
            let answer = create("thief", domains).await;
            assert_eq!(answer.error.as_deref(), Some("ConflictException"), "{domain}: {answer:?}");
        }
    }
    let other = control.gateway("other", json!({"domainOverride": {"default": "other.example"}})).await;
    let update = async |id: &str, name: &str, domain: &str| {
        let mut members = gateway(name, json!({"domainOverride": {"default": domain}}));
        members.as_object_mut().unwrap().remove("clientToken");
        let answer = control.send("PUT", &format!("/gateways/{id}/"), Some(&members)).await;
        control.settled(&format!("/gateways/{id}/"), "READY").await;
        answer.error
    };
    assert_eq!(update(&other, "other", "shop.example").await.as_deref(), Some("ConflictException"));
    assert_eq!(update(&shop, "shop", "shop.example").await, None, "its own");
    assert_eq!(update(&other, "other", "next.example").await, None);
    assert_eq!(update(&shop, "shop", "other.example").await, None, "nobody's any more");

    // A domain that became one of the process while nobody looked opens nothing.
    drop(program);
    let text = std::fs::read_to_string(control.home.file()).unwrap();
    control.home.write_text(&text.replace("gw.example", "other.example"));
    let _program = control.start();
    let port = text.lines().find_map(|line| line.strip_prefix("listen: 127.0.0.1:")).unwrap();
    let mut client = Client::new(&format!("http://127.0.0.1:{port}/mcp"));
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let body = client.request("initialize", params);
    let answer = client.post(&body).header(HOST, "other.example").send().await.unwrap();
    let answer = answer.text().await.unwrap();
    assert!(answer.contains("\"title\":\"open\""), "{answer}");
}
