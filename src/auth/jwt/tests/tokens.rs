//! Tokens that somebody made to get in.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::support::{ISSUER, JWKS};
use super::support::{Key, NOW, World, at, base64url, claims, components, jwks};
use crate::auth::jwt::JwtError;

async fn refused(world: &World, token: &str) -> JwtError {
    world.authorizer().verify(token, NOW).await.unwrap_err()
}

async fn refused_claims(changes: &Value) -> JwtError {
    let world = World::new().await;
    refused(&world, &world.token_with(changes)).await
}

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let world = World::new().await;
    let verified = world.authorizer().verify(&world.token(), NOW).await.unwrap();
    assert_eq!((&*verified.subject, &*verified.issuer), ("ada", ISSUER));
    assert_eq!(verified.client_id.as_deref(), Some("console"));
    assert_eq!(verified.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["shop/read", "shop/write"]);
    assert_eq!(verified.expires_at.0, u64::try_from(at(3600)).unwrap() * 1000);
    assert_eq!(verified.claims.get::<Value>().unwrap(), claims(&json!({})));
    assert!(!format!("{verified:?}").contains("ada"));
}

#[tokio::test]
async fn every_asymmetric_algorithm_is_verified_with_the_key_of_its_kind() {
    let world = World::new().await;
    let keys = [Key::rsa(), Key::p256(), Key::p384(), Key::ed()];
    let published: Vec<Value> =
        keys.iter().enumerate().map(|(number, key)| key.jwk(Some(&number.to_string()))).collect();
    world.server.answer(JWKS, jwks(&published));
    let authorizer = world.authorizer();
    for (key, alg) in [
        (0, "RS256"),
        (0, "RS384"),
        (0, "RS512"),
        (0, "PS256"),
        (0, "PS384"),
        (0, "PS512"),
        (1, "ES256"),
        (2, "ES384"),
        (3, "EdDSA"),
        (3, "Ed25519"),
    ] {
        let token = keys[key].token(&json!({"alg": alg, "kid": key.to_string()}), &claims(&json!({})));
        authorizer.verify(&token, NOW).await.unwrap_or_else(|error| panic!("{alg}: {error}"));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{other}{}", &signature[1..]);
        assert_eq!(authorizer.verify(&forged, NOW).await.unwrap_err(), JwtError::Signature, "{alg}");
    }
    assert_eq!(world.server.hits(JWKS), 1);
}

#[tokio::test]
async fn alg_none_is_refused_before_anything_is_fetched() {
    let world = World::new().await;
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = base64url(json!({"alg": alg, "kid": "k1"}).to_string());
        let token = format!("{header}.{}.", base64url(claims(&json!({})).to_string()));
        assert_eq!(refused(&world, &token).await, JwtError::Algorithm, "{alg}");
    }
    assert_eq!(world.server.all_hits(), 0);
}

#[tokio::test]
async fn hs256_with_the_public_key_as_secret_is_refused_before_anything_is_fetched() {
    let world = World::new().await;
    let Key::Rsa(pair) = Key::rsa() else { panic!("no RSA key") };
    let key = Key::Rsa(pair);
    world.server.answer(JWKS, jwks(&[key.jwk(Some("k1"))]));
    let Key::Rsa(pair) = &key else { panic!("no RSA key") };
    let secrets = [components(pair).0, key.jwk(Some("k1")).to_string().into_bytes(), b"".to_vec()];
    for (alg, with) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        for secret in &secrets {
            let header = json!({"alg": alg, "kid": "k1"});
            let message = format!("{}.{}", base64url(header.to_string()), base64url(claims(&json!({})).to_string()));
            let tag = hmac::sign(&hmac::Key::new(with, secret), message.as_bytes());
            assert_eq!(refused(&world, &format!("{message}.{}", base64url(tag))).await, JwtError::Algorithm, "{alg}");
        }
    }
    assert_eq!(world.server.all_hits(), 0);
}

#[tokio::test]
async fn an_algorithm_that_is_not_known_is_refused() {
    let world = World::new().await;
    for alg in ["ES512", "ES256K", "RS1", "Ed448", "es256", "A256GCM"] {
        assert_eq!(
            world.with_header(&json!({"alg": alg, "kid": "k1"})).await.unwrap_err(),
            JwtError::Algorithm,
            "{alg}"
        );
    }
    assert_eq!(world.server.all_hits(), 0);
}

#[tokio::test]
async fn a_wrong_issuer_is_refused() {
    for issuer in [json!("https://evil.example"), json!("https://issuer.example/"), json!(null)] {
        assert_eq!(refused_claims(&json!({"iss": issuer})).await, JwtError::Issuer);
    }
    let several = refused_claims(&json!({"iss": [ISSUER, "https://evil.example"]})).await;
    assert!(matches!(several, JwtError::Malformed(_)), "{several:?}");
}

#[tokio::test]
async fn a_wrong_audience_is_refused() {
    for audience in [json!("other"), json!(["other", "another"]), json!([]), json!(null), json!(7), json!({"gw": 1})] {
        assert_eq!(refused_claims(&json!({"aud": audience})).await, JwtError::Audience, "{audience}");
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_and_one_without_an_end_too() {
    assert_eq!(refused_claims(&json!({"exp": at(-3600)})).await, JwtError::Expired);
    assert_eq!(refused_claims(&json!({"exp": null})).await, JwtError::MissingClaim("exp"));
    for bad in [json!("1900000000"), json!(-1), json!(1e300), json!(true), json!([1])] {
        let error = refused_claims(&json!({"exp": bad})).await;
        assert!(matches!(error, JwtError::Malformed(_)), "{bad}: {error:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_yet_is_refused() {
    assert_eq!(refused_claims(&json!({"nbf": at(3600)})).await, JwtError::NotYetValid);
    assert_eq!(refused_claims(&json!({"iat": at(3600)})).await, JwtError::NotYetValid);
}

#[tokio::test]
async fn the_leeway_is_sixty_seconds_to_either_side_and_not_one_more() {
    for (changes, expected) in [
        (json!({"exp": at(-59)}), None),
        (json!({"exp": at(-60)}), Some(JwtError::Expired)),
        (json!({"exp": (NOW.0 as f64 - 59_999.0) / 1000.0}), None),
        (json!({"nbf": at(60)}), None),
        (json!({"nbf": at(61)}), Some(JwtError::NotYetValid)),
        (json!({"iat": at(60)}), None),
        (json!({"iat": at(61)}), Some(JwtError::NotYetValid)),
        (json!({"nbf": at(0), "iat": null}), None),
    ] {
        let world = World::new().await;
        let verdict = world.authorizer().verify(&world.token_with(&changes), NOW).await;
        assert_eq!(verdict.err(), expected, "{changes}");
    }
}

#[tokio::test]
async fn a_token_of_another_key_under_the_same_name_is_refused() {
    let world = World::new().await;
    let thief = Key::p256();
    let token = thief.token(&json!({"alg": "ES256", "kid": "k1"}), &claims(&json!({})));
    assert_eq!(refused(&world, &token).await, JwtError::Signature);
    assert_eq!(world.server.hits(JWKS), 1, "a known name does not make anybody ask again");
}

#[tokio::test]
async fn changed_claims_are_refused() {
    let world = World::new().await;
    let token = world.token();
    let parts: Vec<&str> = token.split('.').collect();
    let payload = base64url(claims(&json!({"sub": "root"})).to_string());
    assert_eq!(refused(&world, &format!("{}.{payload}.{}", parts[0], parts[2])).await, JwtError::Signature);
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_ignored() {
    let world = World::new().await;
    let thief = Key::p256();
    let header = json!({
        "alg": "ES256", "kid": "k1", "jwk": thief.jwk(None), "jku": format!("{ISSUER}/evil"),
        "x5u": format!("{ISSUER}/evil"), "x5c": ["AAAA"],
    });
    let token = thief.token(&header, &claims(&json!({})));
    assert_eq!(refused(&world, &token).await, JwtError::Signature);
    assert_eq!(world.server.hits("/evil"), 0);
    // Of the right key they do no harm.
    assert!(world.with_header(&header).await.is_ok());
}

#[tokio::test]
async fn critical_headers_are_refused() {
    let world = World::new().await;
    for crit in [json!(["b64"]), json!([]), json!("exp")] {
        let header = json!({"alg": "ES256", "kid": "k1", "crit": crit, "b64": false});
        assert_eq!(world.with_header(&header).await.unwrap_err(), JwtError::Critical);
    }
    assert_eq!(world.server.all_hits(), 0);
}

#[tokio::test]
async fn tokens_for_something_else_are_refused() {
    let world = World::new().await;
    let header = |typ: &str| json!({"alg": "ES256", "kid": "k1", "typ": typ});
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(world.with_header(&header(typ)).await.is_ok(), "{typ}");
    }
    for typ in ["ID", "logout+jwt", "dpop+jwt", "oauth-id-jag+jwt", "secevent+jwt", "JWE", "", "at+jwt;x"] {
        assert_eq!(world.with_header(&header(typ)).await.unwrap_err(), JwtError::Kind, "{typ}");
    }
    for claims in
        [json!({"token_use": "id"}), json!({"typ": "ID"}), json!({"typ": "Refresh"}), json!({"typ": "Logout"})]
    {
        assert_eq!(refused(&world, &world.token_with(&claims)).await, JwtError::Kind, "{claims}");
    }
    for claims in [json!({"token_use": "access"}), json!({"typ": "Bearer"})] {
        assert!(world.authorizer().verify(&world.token_with(&claims), NOW).await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_anything_is_fetched() {
    let world = World::new().await;
    let header = base64url(json!({"alg": "ES256"}).to_string());
    let doubled = base64url(r#"{"alg":"ES256","alg":"none"}"#);
    for token in [
        "x".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.e30"),
        format!("{header}.e30.x.y"),
        format!("{header}.a.b.c.d"),
        format!("{}.e30.AA", base64url("[]")),
        format!("{}.e30.AA", base64url(r#"{"kid":"k1"}"#)),
        format!("{}.e30.AA", base64url(r#"{"alg":["ES256"]}"#)),
        format!("{doubled}.e30.AA"),
        format!("{header}=.e30.AA"),
        "\u{0}.\u{fffd}.é".to_owned(),
    ] {
        let error = refused(&world, &token).await;
        assert!(matches!(error, JwtError::Malformed(_)), "{token}: {error:?}");
    }
    assert_eq!(refused(&world, "").await, JwtError::Missing);
    assert_eq!(refused(&world, &"a".repeat(16 * 1024 + 1)).await, JwtError::TooLarge { limit: 16 * 1024 });
    assert_eq!(world.server.all_hits(), 0);
}

#[tokio::test]
async fn a_signature_in_another_spelling_is_refused() {
    let world = World::new().await;
    let token = world.token();
    assert!(world.authorizer().verify(&token, NOW).await.is_ok());
    for other in [format!("{token}="), format!("{token}=="), format!("{token}AA"), token[..token.len() - 2].to_owned()]
    {
        assert!(world.authorizer().verify(&other, NOW).await.is_err(), "{}", &other[other.len() - 8..]);
    }
}

#[tokio::test]
async fn signed_claims_that_are_no_object_are_refused() {
    let world = World::new().await;
    let header = json!({"alg": "ES256", "kid": "k1"});
    for claims in [json!([]), json!("x"), json!(null)] {
        let error = refused(&world, &world.key.token(&header, &claims)).await;
        assert!(matches!(error, JwtError::Malformed(_)), "{claims}: {error:?}");
    }
}

#[tokio::test]
async fn a_principal_is_an_issuer_and_a_subject_and_nothing_else() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let principal = async |changes: &Value| {
        authorizer.verify(&world.token_with(changes), NOW).await.unwrap().principal.as_str().to_owned()
    };
    let ada = principal(&json!({})).await;
    assert_eq!(ada, principal(&json!({"exp": at(7200), "scope": "other", "client_id": "web"})).await);
    assert_ne!(ada, principal(&json!({"sub": "bob"})).await);
    let robot = principal(&json!({"sub": null})).await;
    assert_ne!(robot, principal(&json!({"sub": "console"})).await, "a client is no user of the same name");
    let nobody = refused(&world, &world.token_with(&json!({"sub": null, "client_id": null}))).await;
    assert_eq!(nobody, JwtError::MissingClaim("sub"));
}
