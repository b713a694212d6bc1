//! Rules about tokens that a client of the control plane asks for: what could never work, or would do nothing, is refused.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::control_client::{Control, gateway};
use crate::issuer::Issuer;

const JWT: &str = "authorizerConfiguration.customJWTAuthorizer";

/// Members of a gateway with this authorizer.
fn members(kind: &str, discovery: &str, more: Value) -> Value {
    let mut jwt = json!({"discoveryUrl": discovery});
    jwt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let authorizer = json!({"authorizerType": kind, "authorizerConfiguration": {"customJWTAuthorizer": jwt}});
    gateway("shop", authorizer)
}

/// Which members a creation is refused for, and the message.
async fn refused(control: &Control, members: &Value) -> (Vec<String>, String) {
    let answer = control.send("POST", "/gateways/", Some(members)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{members}: {answer:?}");
    assert_eq!(answer.error.as_deref(), Some("ValidationException"));
    let fields = answer.body["fieldList"].as_array().unwrap().iter();
    let names = fields.map(|field| field["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(control.ok("GET", "/gateways/", None).await["items"], json!([]), "nothing is there");
    (names, answer.body["message"].as_str().unwrap().to_owned())
}

fn claim(value_type: &str, operator: &str, value: Value) -> Value {
    json!({"customClaims": [{"inboundTokenClaimName": "tier", "inboundTokenClaimValueType": value_type,
        "authorizingClaimMatchValue": {"claimMatchOperator": operator, "claimMatchValue": value}}]})
}

#[tokio::test]
async fn an_issuer_at_a_private_address_is_refused() {
    let (control, issuer) = (Control::new("", ""), Issuer::start().await);
    let _program = control.start();
    for base in [
        "https://169.254.169.254",
        "http://169.254.169.254",
        "https://10.0.0.1",
        "http://10.0.0.1",
        "https://[fd00:ec2::254]",
        "https://[::ffff:10.0.0.1]",
        "http://192.0.2.1",
    ] {
        let discovery = format!("{base}/.well-known/openid-configuration");
        for kind in ["CUSTOM_JWT", "AUTHENTICATE_ONLY"] {
            let (fields, message) = refused(&control, &members(kind, &discovery, json!({}))).await;
            assert_eq!(fields, [format!("{JWT}.discoveryUrl")], "{base}");
            assert!(message.contains("allow_private_networks"), "{message}");
        }
    }
    // A listed network, and a name, which may lead anywhere by the time when it is asked.
    let id = control.gateway("good", members("CUSTOM_JWT", &issuer.discovery_url(), json!({}))).await;
    let before = control.ok("GET", &format!("/gateways/{id}/"), None).await;
    let mut bad = members("CUSTOM_JWT", "https://10.0.0.1/.well-known/openid-configuration", json!({}));
    bad["name"] = json!("good");
    let answer = control.send("PUT", &format!("/gateways/{id}/"), Some(&bad)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(control.ok("GET", &format!("/gateways/{id}/"), None).await, before);
}

#[tokio::test]
async fn rules_that_would_do_nothing_are_refused() {
    let control = Control::new("", "");
    let _program = control.start();
    let discovery = "https://issuer.example/.well-known/openid-configuration";
    for (member, value) in [
        ("allowedClients", json!(["a"])),
        ("allowedScopes", json!(["a"])),
        ("advertisedScopeMapping", json!({"a": "b"})),
        ("customClaims", claim("STRING", "EQUALS", json!({"matchValueString": "x"}))["customClaims"].clone()),
    ] {
        let (fields, message) =
            refused(&control, &members("AUTHENTICATE_ONLY", discovery, json!({member: value}))).await;
        assert_eq!(fields, [format!("{JWT}.{member}")]);
        assert!(message.contains("AUTHENTICATE_ONLY"), "{message}");
    }
    let mapping = json!({"allowedScopes": ["a"], "advertisedScopeMapping": {"a": "x", "b": "y"}});
    let (fields, message) = refused(&control, &members("CUSTOM_JWT", discovery, mapping)).await;
    assert_eq!(fields, [JWT]);
    assert!(message.contains("advertisedScopeMapping") && message.contains("`b`"), "{message}");
    // The audience is no decision about what somebody may: it is whether the token is meant at all.
    let audience = json!({"allowedAudience": ["gw"]});
    control.gateway("shop", members("AUTHENTICATE_ONLY", discovery, audience)).await;
}

#[tokio::test]
async fn a_claim_is_compared_with_what_its_operator_takes() {
    let control = Control::new("", "");
    let _program = control.start();
    let discovery = "https://issuer.example/.well-known/openid-configuration";
    let (one, list) = (json!({"matchValueString": "x"}), json!({"matchValueStringList": ["x"]}));
    for (value_type, operator, value) in [
        ("STRING", "EQUALS", &list),
        ("STRING_ARRAY", "CONTAINS", &list),
        ("STRING_ARRAY", "CONTAINS_ANY", &one),
        ("STRING", "CONTAINS", &one),
        ("STRING", "CONTAINS_ANY", &list),
        ("STRING_ARRAY", "EQUALS", &one),
    ] {
        let rules = claim(value_type, operator, value.clone());
        let (fields, message) = refused(&control, &members("CUSTOM_JWT", discovery, rules)).await;
        assert_eq!(fields, [JWT], "{value_type} {operator} {value}");
        assert!(message.contains("STRING with EQUALS and matchValueString"), "{message}");
    }
    for (at, (value_type, operator, value)) in
        [("STRING", "EQUALS", one.clone()), ("STRING_ARRAY", "CONTAINS", one), ("STRING_ARRAY", "CONTAINS_ANY", list)]
            .into_iter()
            .enumerate()
    {
        let mut good = members("CUSTOM_JWT", discovery, claim(value_type, operator, value));
        good["name"] = json!(format!("good-{at}"));
        control.ok("POST", "/gateways/", Some(&good)).await;
    }
}
