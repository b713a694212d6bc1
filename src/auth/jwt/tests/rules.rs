//! What a gateway asks of a token, and what it says to one that is not enough.

use serde_json::{Value, json};
use url::Url;

use super::support::{DISCOVERY, ISSUER, NOW, World, rules};
use crate::auth::jwt::{ClaimMatch, ClaimOperator, ClaimRule, ClaimValueType, JwtError, JwtRules, RulesError};

async fn verdict(rules: JwtRules, changes: &Value) -> Result<(), JwtError> {
    let world = World::new().await;
    let authorizer = world.issuers.authorizer(rules).unwrap();
    authorizer.verify(&world.token_with(changes), NOW).await.map(drop)
}

fn asking(change: impl FnOnce(&mut JwtRules)) -> JwtRules {
    let mut rules = rules();
    rules.allowed_audience.clear();
    change(&mut rules);
    rules
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(value_type: ClaimValueType, operator: ClaimOperator, value: ClaimMatch) -> ClaimRule {
    ClaimRule { name: "cognito:groups".into(), value_type, operator, value }
}

fn text(value: &str) -> ClaimMatch {
    ClaimMatch::String(value.into())
}

fn equals() -> ClaimRule {
    rule(ClaimValueType::String, ClaimOperator::Equals, text("admins"))
}

fn contains() -> ClaimRule {
    rule(ClaimValueType::StringArray, ClaimOperator::Contains, text("admins"))
}

fn contains_any() -> ClaimRule {
    let value = ClaimMatch::List(texts(&["admins", "owners"]));
    rule(ClaimValueType::StringArray, ClaimOperator::ContainsAny, value)
}

#[tokio::test]
async fn one_audience_of_several_is_enough() {
    let several = asking(|rules| rules.allowed_audience = texts(&["gw", "shop"]));
    for (audience, good) in
        [(json!("shop"), true), (json!(["x", "gw"]), true), (json!(["x"]), false), (json!("GW"), false)]
    {
        let expected = if good { Ok(()) } else { Err(JwtError::Audience) };
        assert_eq!(verdict(several.clone(), &json!({"aud": audience})).await, expected, "{audience}");
    }
}

#[tokio::test]
async fn the_gateways_own_url_is_an_audience_and_may_be_the_only_one() {
    let url = "https://gw.example/gateways/shop/mcp";
    let resource = asking(|rules| {
        rules.allowed_audience = texts(&["gw"]);
        rules.resources = texts(&[url]);
    });
    assert_eq!(verdict(resource, &json!({"aud": url})).await, Ok(()));
    let clients = asking(|rules| {
        rules.allowed_clients = texts(&["console"]);
        rules.resources = texts(&[url]);
    });
    assert_eq!(verdict(clients.clone(), &json!({"aud": null})).await, Ok(()), "as Cognito's access tokens are");
    let strict = JwtRules { strict_audience: true, ..clients };
    assert_eq!(verdict(strict.clone(), &json!({"aud": null})).await, Err(JwtError::Audience));
    assert_eq!(verdict(strict.clone(), &json!({"aud": "https://other.example"})).await, Err(JwtError::Audience));
    // What is configured is meant to the letter; the gateway's own URL may be written in another case, and with a slash.
    for same in [url, "https://gw.example/gateways/shop/mcp/", "HTTPS://GW.example:443/gateways/shop/mcp"] {
        assert_eq!(verdict(strict.clone(), &json!({"aud": [same]})).await, Ok(()), "{same}");
    }
    for other in ["http://gw.example/gateways/shop/mcp", "https://gw.example/Gateways/shop/mcp", "gw.example", "/"] {
        assert_eq!(verdict(strict.clone(), &json!({"aud": other})).await, Err(JwtError::Audience), "{other}");
    }
    for more in ["?x", "?", "#f", "#", "//", "/?x=1", "/.", "/../mcp"] {
        let other = format!("{url}{more}");
        assert_eq!(verdict(strict.clone(), &json!({"aud": [other]})).await, Err(JwtError::Audience), "{other}");
    }
    let listed = asking(|rules| rules.allowed_audience = texts(&[url]));
    assert_eq!(verdict(listed, &json!({"aud": format!("{url}/")})).await, Err(JwtError::Audience));
    let origin = JwtRules { resources: texts(&["http://gw.example"]), ..strict };
    assert_eq!(verdict(origin, &json!({"aud": "http://gw.example/"})).await, Ok(()), "as the official SDKs write it");
}

#[tokio::test]
async fn an_id_token_for_an_allowed_client_is_no_access_token() {
    let clients = asking(|rules| rules.allowed_clients = texts(&["web"]));
    let id = |more: Value| {
        let mut claims = json!({"client_id": null, "scope": null, "azp": "web", "aud": "web"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    for more in
        [json!({"nonce": "n"}), json!({"at_hash": "h"}), json!({"c_hash": "h"}), json!({"at_hash": "h", "typ": "x"})]
    {
        assert_eq!(verdict(clients.clone(), &id(more.clone())).await, Err(JwtError::Kind), "{more}");
    }
    for more in [json!({}), json!({"nonce": null}), json!({"nonce": "n", "typ": "Bearer"})] {
        assert_eq!(verdict(clients.clone(), &id(more.clone())).await, Ok(()), "{more}");
    }
    let named = json!({"client_id": "web", "nonce": "n"});
    assert_eq!(verdict(clients.clone(), &named).await, Ok(()), "no ID token names its client so");
    // Who lists the client as the audience means just these.
    let meant = JwtRules { allowed_audience: texts(&["web"]), ..clients };
    assert_eq!(verdict(meant, &id(json!({"nonce": "n"}))).await, Ok(()));
}

#[tokio::test]
async fn the_client_is_client_id_or_else_azp() {
    let clients = asking(|rules| rules.allowed_clients = texts(&["console", "web"]));
    for (changes, good) in [
        (json!({}), true),
        (json!({"client_id": "other"}), false),
        (json!({"client_id": null, "azp": "web"}), true),
        (json!({"client_id": null, "azp": "other"}), false),
        (json!({"client_id": "other", "azp": "web"}), false),
        (json!({"client_id": null}), false),
    ] {
        let expected = if good { Ok(()) } else { Err(JwtError::Client) };
        assert_eq!(verdict(clients.clone(), &changes).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn one_granted_scope_is_enough_and_the_challenge_names_what_is_advertised() {
    let scopes = asking(|rules| {
        rules.allowed_scopes = texts(&["shop/write", "shop/admin", "offline_access"]);
        rules.advertised_scope_mapping.insert("shop/admin".into(), "api://shop/admin".into());
    });
    let needed = JwtError::Scope { needed: ["shop/write".into(), "api://shop/admin".into()].into() };
    for (changes, good) in [
        (json!({}), true),
        (json!({"scope": ["x", "shop/admin"]}), true),
        (json!({"scope": null, "scp": "shop/admin other"}), true),
        (json!({"scope": null, "scp": ["shop/admin"]}), true),
        (json!({"scope": "shop/read"}), false),
        (json!({"scope": "shop/read", "scp": "shop/admin"}), false),
        (json!({"scope": "shop/writer"}), false),
        (json!({"scope": ""}), false),
        (json!({"scope": null}), false),
        (json!({"scope": {"shop/write": true}}), false),
    ] {
        let expected = if good { Ok(()) } else { Err(needed.clone()) };
        assert_eq!(verdict(scopes.clone(), &changes).await, expected, "{changes}");
    }
    assert_eq!(needed.status(), 403);
    assert_eq!(
        needed.challenge().unwrap().scopes(&["all"]).resource_metadata("https://gw.example/m").to_string(),
        "Bearer error=\"insufficient_scope\", error_description=\"the token lacks a scope that this gateway needs\", \
         scope=\"shop/write api://shop/admin\", resource_metadata=\"https://gw.example/m\""
    );
}

#[tokio::test]
async fn custom_claims_are_compared_by_every_operator() {
    for (rule, value, good) in [
        (equals(), json!("admins"), true),
        (equals(), json!("admins2"), false),
        (equals(), json!("Admins"), false),
        (equals(), json!(["admins"]), false),
        (equals(), json!(null), false),
        (equals(), json!(true), false),
        (contains(), json!(["users", "admins"]), true),
        (contains(), json!(["users"]), false),
        (contains(), json!(["admins2"]), false),
        (contains(), json!([]), false),
        (contains(), json!("admins"), false),
        (contains(), json!([["admins"]]), false),
        (contains(), json!({"admins": 1}), false),
        (contains(), json!([7, "admins"]), true),
        (contains_any(), json!(["owners"]), true),
        (contains_any(), json!(["users", "admins", "owners"]), true),
        (contains_any(), json!(["users"]), false),
        (contains_any(), json!("owners"), false),
    ] {
        let rules = asking(|rules| rules.custom_claims = vec![rule.clone()]);
        let expected = if good { Ok(()) } else { Err(JwtError::Claim { name: "cognito:groups".into() }) };
        assert_eq!(verdict(rules, &json!({"cognito:groups": value})).await, expected, "{rule:?} {value}");
    }
}

#[tokio::test]
async fn everything_that_is_configured_must_hold() {
    let all = || {
        asking(|rules| {
            rules.allowed_audience = texts(&["gw"]);
            rules.allowed_clients = texts(&["console"]);
            rules.allowed_scopes = texts(&["shop/read"]);
            rules.custom_claims = vec![equals(), ClaimRule { name: "tier".into(), ..contains() }];
        })
    };
    let good = json!({"cognito:groups": "admins", "tier": ["admins"]});
    assert_eq!(verdict(all(), &good).await, Ok(()));
    for (claim, value, code) in [
        ("aud", json!("x"), "token_audience"),
        ("client_id", json!("x"), "token_client"),
        ("scope", json!("x"), "token_scope"),
        ("cognito:groups", json!("x"), "token_claim"),
        ("tier", json!(["x"]), "token_claim"),
    ] {
        let mut changes = good.clone();
        changes[claim] = value;
        assert_eq!(verdict(all(), &changes).await.unwrap_err().code(), code);
        // Authenticated, and nothing is decided but whether the token is meant.
        let authenticate = asking(|rules| rules.authenticate_only = true);
        assert_eq!(verdict(authenticate.clone(), &changes).await, Ok(()), "{claim}");
        let meant = JwtRules { allowed_audience: texts(&["gw"]), ..authenticate };
        let expected = if claim == "aud" { Err(JwtError::Audience) } else { Ok(()) };
        assert_eq!(verdict(meant.clone(), &changes).await, expected, "{claim}");
        assert_eq!(verdict(meant, &json!({"exp": 1})).await, Err(JwtError::Expired));
    }
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    let fails = |change: &dyn Fn(&mut JwtRules)| asking(|rules| change(rules)).validate().unwrap_err();
    assert_eq!(fails(&|_| {}), RulesError::Nothing);
    assert!(asking(|rules| rules.authenticate_only = true).validate().is_ok());
    assert!(matches!(fails(&|rules| rules.allowed_audience = texts(&[""])), RulesError::Entries { .. }));
    assert!(matches!(fails(&|rules| rules.allowed_scopes = vec!["x".repeat(256)]), RulesError::Entries { .. }));
    assert!(matches!(fails(&|rules| rules.allowed_clients = vec!["x".into(); 1001]), RulesError::Entries { .. }));
    assert_eq!(fails(&|rules| rules.allowed_scopes = texts(&["a b"])), RulesError::Scope("a b".into()));
    let mapping = fails(&|rules| {
        rules.allowed_scopes = texts(&["a"]);
        rules.advertised_scope_mapping = [("a", "x"), ("b", "y")].map(|(from, to)| (from.into(), to.into())).into();
    });
    assert_eq!(mapping, RulesError::Mapping("b".into()));
    let decides = |change: fn(&mut JwtRules)| {
        fails(&|rules| {
            rules.authenticate_only = true;
            change(rules);
        })
    };
    assert_eq!(
        [
            decides(|rules| rules.allowed_clients = texts(&["a"])),
            decides(|rules| rules.allowed_scopes = texts(&["a"])),
            decides(|rules| drop(rules.advertised_scope_mapping.insert("a".into(), "x".into()))),
            decides(|rules| rules.custom_claims = vec![equals()]),
        ],
        ["allowedClients", "allowedScopes", "advertisedScopeMapping", "customClaims"]
            .map(|member| RulesError::Decides { member })
    );
    let list = || ClaimMatch::List(texts(&["admins"]));
    for (value_type, operator, value) in [
        (ClaimValueType::String, ClaimOperator::Equals, list()),
        (ClaimValueType::String, ClaimOperator::Contains, text("x")),
        (ClaimValueType::String, ClaimOperator::ContainsAny, list()),
        (ClaimValueType::StringArray, ClaimOperator::Equals, text("x")),
        (ClaimValueType::StringArray, ClaimOperator::Contains, list()),
        (ClaimValueType::StringArray, ClaimOperator::ContainsAny, text("x")),
    ] {
        let bad = rule(value_type, operator, value);
        let error = fails(&|rules| rules.custom_claims = vec![bad.clone()]);
        assert_eq!(error, RulesError::Operator { name: "cognito:groups".into() }, "{bad:?}");
    }
    let empty = rule(ClaimValueType::StringArray, ClaimOperator::ContainsAny, ClaimMatch::List(Vec::new()));
    assert!(matches!(fails(&|rules| rules.custom_claims = vec![empty.clone()]), RulesError::Entries { .. }));
}

#[test]
fn a_discovery_url_says_who_the_issuer_is() {
    for (url, issuer) in [
        ("https://a.example/.well-known/openid-configuration", Some("https://a.example")),
        ("https://a.example/realm/.well-known/openid-configuration", Some("https://a.example/realm")),
        ("https://a.example/.well-known/oauth-authorization-server/realm", Some("https://a.example/realm")),
        ("https://a.example:8443/.well-known/openid-configuration/x/", Some("https://a.example:8443/x")),
        ("https://a.example/.well-known/openid-configurations", None),
        ("https://a.example/.well-known/jwks.json", None),
        ("https://a.example/", None),
        ("https://u:p@a.example/.well-known/openid-configuration", None),
        ("https://a.example/.well-known/openid-configuration?x=1", None),
        ("ftp://a.example/.well-known/openid-configuration", None),
    ] {
        let mut rules = JwtRules::new(Url::parse(url).unwrap());
        rules.authenticate_only = true;
        assert_eq!(rules.expected_issuer().as_deref(), issuer, "{url}");
        assert_eq!(rules.validate().is_ok(), issuer.is_some(), "{url}");
    }
}

#[tokio::test]
async fn more_issuers_than_allowed_are_refused_until_one_is_gone() {
    let options = crate::auth::jwt::JwtOptions { max_issuers: 2, ..Default::default() };
    let world = World::with(options).await;
    let at = |path: &str| JwtRules::new(Url::parse(&format!("{ISSUER}/{path}{DISCOVERY}")).unwrap());
    let make = |path: &str| world.issuers.authorizer(JwtRules { authenticate_only: true, ..at(path) });
    let (one, _two) = (make("1").unwrap(), make("2").unwrap());
    assert!(make("1").is_ok(), "known already");
    assert_eq!(make("3").unwrap_err(), RulesError::TooManyIssuers { limit: 2 });
    drop(one);
    assert!(make("3").is_ok());
}

#[test]
fn each_refusal_has_its_status_and_its_challenge() {
    let unavailable = JwtError::Unavailable { retry_after: std::time::Duration::from_secs(3), detail: "x".into() };
    assert_eq!((unavailable.status(), unavailable.challenge()), (503, None));
    assert_eq!(JwtError::Missing.challenge().unwrap().to_string(), "Bearer");
    let expired = JwtError::Expired.challenge().unwrap().to_string();
    assert_eq!(expired, "Bearer error=\"invalid_token\", error_description=\"the token has expired\"");
    let claim = JwtError::Claim { name: "tier".into() };
    assert_eq!(claim.status(), 403);
    // Not `insufficient_scope`: no scope would help.
    assert!(claim.challenge().unwrap().to_string().starts_with("Bearer error=\"access_denied\", error_description="));
    let pending = JwtError::KeyPending { retry_after: std::time::Duration::from_secs(3) };
    assert_eq!((pending.status(), pending.challenge(), pending.retry_after().unwrap().as_secs()), (503, None, 3));
    for error in [JwtError::Algorithm, JwtError::UnknownKey, JwtError::Audience, JwtError::Client, JwtError::Kind] {
        assert_eq!(error.status(), 401);
        assert!(error.challenge().unwrap().to_string().contains("invalid_token"));
    }
}
