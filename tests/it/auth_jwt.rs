//! Gateways that ask for tokens: who gets in, who does not, and what a token's end means. Clients of both eras.

use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use crate::client::{Client, Stream};
use crate::harness::{Home, Program, eventually, http_target, reference_server, sessiongate};
use crate::issuer::{Issuer, ready};
use crate::modern_client::{ModernAnswer, ModernClient};

struct Scene {
    home: Home,
    issuer: Issuer,
    target: Program,
    gateway: Program,
}

async fn scene(authorizer: impl Fn(&Issuer) -> String) -> Scene {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    let gateway = home.configured(&settings(&authorizer(&issuer), &target));
    Scene { home, issuer, target, gateway }
}

fn settings(authorizer: &str, target: &Program) -> String {
    format!("naming: plain\n{authorizer}\ntargets:\n{}", http_target("ref", &target.url, ""))
}

/// What `initialize` is answered with: status, challenge, `error.data.reason`.
async fn initialize(url: &str, token: Option<&str>) -> (u16, String, Value) {
    let mut client = token.map_or_else(|| Client::new(url), |token| Client::with_key(url, token));
    let body = client.request(
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"}}),
    );
    let response = client.post(&body).send().await.unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|text| text.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (status, challenge.unwrap_or_default(), body["error"]["data"]["reason"].clone())
}

async fn modern(url: &str, token: &str) -> ModernAnswer {
    ModernClient::with_key(url, token).call("sg_echo", json!({})).await
}

#[tokio::test]
async fn only_good_tokens_open_a_gateway() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let stranger = Issuer::start().await;
    for (reason, token) in [
        ("token_algorithm", issuer.unsigned()),
        ("token_algorithm", issuer.confused()),
        ("token_signature", stranger.token("ada")),
        ("token_issuer", issuer.token_with(&json!({"iss": stranger.url}))),
        ("token_audience", issuer.token_with(&json!({"aud": "another"}))),
        ("token_audience", issuer.token_with(&json!({"aud": ["https://api.example/mcp", "GW"]}))),
        ("token_audience", issuer.token_with(&json!({"aud": null}))),
        ("token_expired", issuer.token_for("ada", -1.0)),
        ("token_not_yet_valid", issuer.token_with(&json!({"nbf": crate::issuer::now() + 120.0}))),
        ("token_kind", issuer.signed(&json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}), &json!({}))),
        ("token_malformed", "no-token".to_owned()),
    ] {
        let (status, challenge, why) = initialize(url, Some(&token)).await;
        assert_eq!((status, why.as_str()), (401, Some(reason)));
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{reason}: {challenge}");
        let refused = modern(url, &token).await;
        assert_eq!((refused.status, &refused.error()["data"]["reason"]), (401, &json!(reason)));
    }
    let (status, challenge, _) = initialize(url, None).await;
    assert_eq!(status, 401);
    assert!(!challenge.contains("error"), "who sent nothing is told of no error: {challenge}");
    assert_eq!(initialize(url, Some(&issuer.token("ada"))).await.0, 200);
    assert_eq!(modern(url, &issuer.token("ada")).await.status, 200);
    assert_eq!(issuer.fetched(), 1, "keys are fetched once");
}

#[tokio::test]
async fn a_token_is_taken_from_the_header_only() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let token = scene.issuer.token("ada");
    for name in ["access_token", "access%5Ftoken", "access%5ftoken", "%61ccess_token", "x=%20&%61%63cess_toke%6E"] {
        let url = format!("{}?{name}={token}", scene.gateway.url);
        for header in [None, Some(token.as_str())] {
            let (status, challenge, reason) = initialize(&url, header).await;
            assert_eq!((status, reason), (400, json!("token_in_query")), "{name}");
            assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
        }
    }
    let other = format!("{}?note=a%20access_token", scene.gateway.url);
    assert_eq!(initialize(&other, Some(&token)).await.0, 200);
    let client = Client::new(&scene.gateway.url);
    let twice = client.post(&json!({})).bearer_auth(&token).header("authorization", "Bearer other").send().await;
    assert_eq!(twice.unwrap().status(), 400);
}

#[tokio::test]
async fn a_session_belongs_to_its_principal_and_outlives_its_token() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let mut ada = ready(url, &issuer.token("ada")).await;
    let (_, mut call) = ada.start("sg_progress", json!({"steps": 60, "delay_ms": 20})).await;
    let first = call.next().await.unwrap().unwrap();
    let mut standing = ada.listen(None).await;

    let mut eve = Client::with_key(url, &issuer.token("eve"));
    eve.session = ada.session.clone();
    let body = eve.request("ping", json!({}));
    assert_eq!(eve.post(&body).send().await.unwrap().status(), 404);
    assert_eq!(eve.get(first.id.as_deref()).await.unwrap().status(), 404);
    assert_eq!(eve.with_session(eve.http.delete(&eve.url)).send().await.unwrap().status(), 404);
    // Without a token the session says nothing at all.
    eve.http = Client::new(url).http;
    assert_eq!(eve.post(&body).send().await.unwrap().status(), 401);

    // Another token of the same subject, even one for another client.
    let renewed = issuer.token_with(&json!({"sub": "ada", "client_id": "phone", "jti": "2"}));
    ada.http = Client::with_key(url, &renewed).http;
    assert_eq!(ada.call("sg_echo", json!({})).await["result"]["isError"], Value::Null);
    // Nobody has touched what was open.
    assert!(call.try_response().await.unwrap().is_some());
    ada.call("sg_toggle_tool", json!({})).await;
    standing.message("notifications/tools/list_changed").await;
}

/// Events until the end, which is a hint to come back.
async fn cut(mut stream: Stream) -> Vec<crate::client::Event> {
    let events = stream.rest().await;
    let last = events.last().expect("a hint");
    assert!(last.retry.is_some() && last.data.is_none(), "{events:?}");
    events
}

#[tokio::test]
async fn streams_end_with_the_token_and_the_call_goes_on() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    for revision in ["2025-11-25", "2025-06-18"] {
        let mut client = Client::with_key(url, &issuer.token_for("ada", 1.5));
        client.revision = revision;
        client.initialize(json!({})).await.unwrap();
        let standing = client.listen(None).await;
        let (id, call) = client.start("sg_progress", json!({"steps": 150, "delay_ms": 20})).await;
        let seen = cut(call).await;
        cut(standing).await;
        assert!(seen.iter().all(|event| event.data.as_ref().is_none_or(|data| data.get("id").is_none())), "{seen:?}");
        assert_eq!(client.get(None).await.unwrap().status(), 401);

        client.http = Client::with_key(url, &issuer.token("ada")).http;
        let last = seen.iter().rev().find_map(|event| event.id.clone()).unwrap();
        let mut rest = client.listen(Some(&last)).await;
        let response = rest.try_response().await.unwrap().expect("the call's end");
        assert_eq!((&response["id"], response.get("error")), (&id, None), "{response}");
    }
}

#[tokio::test]
async fn a_listening_client_hears_the_end_of_its_token() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let token = scene.issuer.token_for("ada", 1.5);
    let mut client = ModernClient::with_key(&scene.gateway.url, &token);
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let answer = client.request("subscriptions/listen", wanted.clone()).await;
    assert_eq!(answer.notes[0]["method"], "notifications/subscriptions/acknowledged");
    assert!(answer.json.get("result").is_some(), "{answer:?}");
    let late = client.request("subscriptions/listen", wanted).await;
    assert_eq!((late.status, &late.error()["data"]["reason"]), (401, &json!("token_expired")));
}

#[tokio::test]
async fn more_scopes_are_asked_for_with_403() {
    let scene = scene(|issuer| {
        issuer.authorizer("allowed_scopes: [shop/write], advertised_scopes: {shop/write: api://shop/write}")
    })
    .await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let (status, challenge, reason) = initialize(url, Some(&issuer.token("ada"))).await;
    assert_eq!((status, reason), (403, json!("token_scope")));
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"api://shop/write\""));
    assert_eq!(modern(url, &issuer.token("ada")).await.status, 403);
    // The first challenge of all says the same scope.
    assert!(initialize(url, None).await.1.contains("scope=\"api://shop/write\""));
    let stepped_up = issuer.token_with(&json!({"scope": "shop/read shop/write"}));
    assert_eq!(initialize(url, Some(&stepped_up)).await.0, 200);
}

#[tokio::test]
async fn without_rules_a_token_must_be_for_the_gateway() {
    let scene = scene(|issuer| issuer.authorizer_of("jwt", "")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    assert_eq!(initialize(url, Some(&issuer.token("ada"))).await.2, "token_audience");
    // However its URL is written: both official SDKs send a slash behind a bare origin.
    for own in [url.clone(), format!("{url}/"), url.replace("http:", "HTTP:"), url.replace("127.0.0.1", "LocalHost")] {
        let token = issuer.token_with(&json!({"aud": ["x", own]}));
        assert_eq!(initialize(url, Some(&token)).await.0, 200, "{own}");
    }
    for other in [format!("{url}/x"), format!("{url}x"), url.replace("http:", "https:"), url.replace("/mcp", "/")] {
        let token = issuer.token_with(&json!({"aud": other}));
        assert_eq!(initialize(url, Some(&token)).await.2, "token_audience", "{other}");
    }
    // One that only authenticates takes it all the same.
    scene.home.write(&settings(&issuer.authorizer_of("authenticate-only", ""), &scene.target));
    eventually("the authorizer is another one", async || {
        (initialize(url, Some(&issuer.token("ada"))).await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_only_authenticates_asks_for_the_audience_all_the_same() {
    let scene = scene(|issuer| issuer.authorizer_of("authenticate-only", "allowed_audience: [gw]")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    for audience in [json!("gw"), json!(["x", "gw"]), json!(url)] {
        let token = issuer.token_with(&json!({"aud": audience, "client_id": "other", "scope": null}));
        assert_eq!(initialize(url, Some(&token)).await.0, 200, "{audience}");
    }
    for audience in [json!("zzz"), json!("https://api.example"), json!(null)] {
        let (status, challenge, reason) = initialize(url, Some(&issuer.token_with(&json!({"aud": audience})))).await;
        assert_eq!((status, reason), (401, json!("token_audience")), "{audience}");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    // What decides about more than that does not go with it.
    for (rules, key) in [
        ("allowed_clients: [console]", "allowed_clients"),
        ("allowed_scopes: [shop/read]", "allowed_scopes"),
        ("advertised_scopes: {a: b}", "advertised_scopes"),
        ("custom_claims: [{name: tier, operator: equals, values: [gold]}]", "custom_claims"),
    ] {
        scene.home.write(&settings(&issuer.authorizer_of("authenticate-only", rules), &scene.target));
        let checked = sessiongate(&["check", "--offline", "--config", scene.home.file().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(2), "{rules}: {said}");
        assert!(said.contains(key) && said.contains("authenticate-only"), "{rules}: {said}");
    }
    let unused = "allowed_scopes: [shop/read], advertised_scopes: {shop/write: x}";
    scene.home.write(&settings(&issuer.authorizer_of("jwt", unused), &scene.target));
    let checked = sessiongate(&["check", "--offline", "--config", scene.home.file().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.code() == Some(2) && said.contains("shop/write"), "{said}");
}

#[tokio::test]
async fn who_is_shut_out_by_a_claim_is_told_so_and_asked_for_no_scopes() {
    let claims = "allowed_scopes: [shop/read], custom_claims: [{name: tier, operator: equals, values: [gold]}]";
    let scene = scene(|issuer| issuer.authorizer(claims)).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let (status, challenge, reason) = initialize(url, Some(&issuer.token_with(&json!({"tier": "tin"})))).await;
    assert_eq!((status, reason), (403, json!("token_claim")));
    assert!(challenge.starts_with("Bearer error=\"access_denied\", error_description="), "{challenge}");
    assert_eq!(initialize(url, Some(&issuer.token_with(&json!({"tier": "gold"})))).await.0, 200);
}

#[tokio::test]
async fn an_id_token_does_not_pass_for_an_access_token() {
    let scene = scene(|issuer| issuer.authorizer_of("jwt", "allowed_clients: [console]")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let status = async |more: Value| {
        let mut claims = json!({"client_id": null, "scope": null, "azp": "console", "aud": "console"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
        let (status, _, reason) = initialize(url, Some(&issuer.signed(&header, &claims))).await;
        (status, reason.as_str().unwrap_or_default().to_owned())
    };
    let refused = (401, "token_kind".to_owned());
    assert_eq!(status(json!({"nonce": "n"})).await, refused);
    assert_eq!(status(json!({"at_hash": "h"})).await, refused);
    assert_eq!(status(json!({})).await.0, 200, "an access token of Auth0, Entra and others");
    assert_eq!(status(json!({"nonce": "n", "typ": "Bearer"})).await.0, 200, "an access token of Keycloak until 24");
    assert_eq!(status(json!({"nonce": "n", "client_id": "console"})).await.0, 200);
    assert_eq!(status(json!({"nonce": "n", "aud": url})).await.0, 200, "issued for the gateway");
}

#[tokio::test]
async fn a_token_for_another_gateway_of_the_process_opens_none_of_the_others() {
    let (home, target, issuer) = (Home::new(), reference_server(&[]), Issuer::start().await);
    home.write("targets: []");
    let text = std::fs::read_to_string(home.file()).unwrap();
    let head = text.split("gateways:").next().unwrap();
    let targets = http_target("ref", &target.url, "");
    let gateway = |name: &str, authorizer: &str| {
        format!(
            "  - name: {name}\n    hosts: [{name}.example]\n    {authorizer}\n    targets:\n    {}\n",
            targets.trim()
        )
    };
    home.write_text(&format!(
        "{head}gateways:\n{}{}{}  - name: bank\n    path: /bank\n    targets:\n    {}\n",
        gateway("clients", &issuer.authorizer_of("jwt", "allowed_clients: [console]")),
        gateway("known", &issuer.authorizer_of("authenticate-only", "")),
        gateway("listed", &issuer.authorizer_of("jwt", "allowed_audience: [\"https://clients.example/mcp\"]")),
        targets.trim(),
    ));
    let _program = home.again();
    let base = format!("http://{}", text.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap());
    let at = |name: &str| format!("{base}/gateways/{name}/mcp");
    let status = async |name: &str, audience: Value| {
        let token = issuer.token_with(&json!({"aud": audience, "client_id": "console"}));
        let (status, challenge, reason) = initialize(&at(name), Some(&token)).await;
        assert_eq!(status == 401, reason == "token_audience", "{name}: {reason}");
        assert_eq!(status == 401, challenge.contains("error=\"invalid_token\""), "{name}: {challenge}");
        status
    };
    for name in ["clients", "known"] {
        for other in [
            json!(at("listed")),
            json!(at("listed").replace("127.0.0.1", "LOCALHOST") + "/"),
            json!("https://listed.example/mcp"),
            json!(format!("{base}/bank")),
            json!(["console", at("listed")]),
        ] {
            assert_eq!(status(name, other.clone()).await, 401, "{name}: {other}");
        }
        for good in [
            json!(at(name)),
            json!(at(name) + "/"),
            json!([at("listed"), at(name)]),
            json!("console"),
            json!("https://api.example"),
            json!(format!("{base}/gateways/nobody/mcp")),
            json!(null),
        ] {
            assert_eq!(status(name, good.clone()).await, 200, "{name}: {good}");
        }
    }
    assert_eq!(status("listed", json!("https://clients.example/mcp")).await, 200, "the operator says so");
    // A gateway that is gone is nobody's neighbour any more.
    let text = std::fs::read_to_string(home.file()).unwrap();
    home.write_text(text.split("  - name: bank").next().unwrap());
    eventually("the bank is gone", async || {
        let token = issuer.token_with(&json!({"aud": format!("{base}/bank"), "client_id": "console"}));
        (initialize(&at("clients"), Some(&token)).await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_the_issuer_is_down_known_tokens_work_and_others_wait() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    assert_eq!(initialize(url, Some(&issuer.token("ada"))).await.0, 200);
    issuer.goes_down();
    assert_eq!(initialize(url, Some(&issuer.token("bob"))).await.0, 200, "the keys are there");

    let fresh = Issuer::start().await;
    fresh.goes_down();
    scene.home.write(&settings(&fresh.authorizer(""), &scene.target));
    let token = fresh.token("ada");
    eventually("the issuer cannot be asked", async || (initialize(url, Some(&token)).await.0 == 503).then_some(()))
        .await;
    let response = Client::with_key(url, &token).post(&json!({})).send().await.unwrap();
    assert!(response.headers().contains_key("retry-after") && !response.headers().contains_key(WWW_AUTHENTICATE));
    assert_eq!(initialize(url, None).await.0, 401, "who has no token is told so");
}

#[tokio::test]
async fn unknown_keys_do_not_become_a_flood() {
    let scene = scene(|issuer| issuer.authorizer("")).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let flood = (0..200).map(|at| {
        let token = issuer.signed(&json!({"alg": "ES256", "kid": format!("k-{at}")}), &json!({}));
        async move { initialize(url, Some(&token)).await }
    });
    // Who was there when the issuer was asked knows for certain; the others may have a key that is newer still.
    for (status, _, reason) in futures_util::future::join_all(flood).await {
        let known = (status, reason.as_str());
        assert!(matches!(known, (401, Some("token_key_unknown")) | (503, Some("token_key_pending"))), "{known:?}");
    }
    assert!(issuer.fetched() <= 2, "{}", issuer.fetched());
    assert_eq!(initialize(url, Some(&issuer.token("ada"))).await.0, 200);
}

#[tokio::test]
async fn api_keys_open_a_gateway_beside_tokens() {
    let key = "key-of-carl-0123456789";
    let keys = format!("api_keys: [{{name: carl, key: {key}}}]");
    let scene = scene(|issuer| format!("{}\n{keys}", issuer.authorizer(""))).await;
    let (url, issuer) = (&scene.gateway.url, &scene.issuer);
    let mut ada = ready(url, &issuer.token("ada")).await;
    let carl = ready(url, key).await;
    assert_eq!(initialize(url, Some("another-key")).await.0, 401);
    let mut standing = carl.listen(None).await;
    let mut adas = ada.listen(None).await;
    // The key goes, and with it the sessions of its holder; nobody else's.
    scene.home.write(&settings(&issuer.authorizer(""), &scene.target));
    standing.rest().await;
    assert_eq!(carl.get(None).await.unwrap().status(), 401);
    ada.call("sg_toggle_tool", json!({})).await;
    adas.message("notifications/tools/list_changed").await;
    // An unrelated change ends nothing either.
    scene.home.write(&format!("instructions: other\n{}", settings(&issuer.authorizer(""), &scene.target)));
    eventually("the change is served", async || {
        let log = scene.gateway.log();
        log.contains("gateway test changed: instructions").then_some(())
    })
    .await;
    ada.call("sg_toggle_tool", json!({})).await;
    adas.message("notifications/tools/list_changed").await;
    assert_eq!(issuer.fetched(), 1, "what is known of the issuer stays over reloads");
}
