//! What is remembered, and when it is forgotten.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sessiongate_storage::Timestamp;

use super::support::{JWKS, Key, NOW, World, after, at, claims, jwks, rules};
use crate::auth::jwt::JwtError;
use crate::auth::jwt::JwtOptions;

#[tokio::test]
async fn a_token_is_verified_once_and_remembered_until_it_ends() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let token = world.token();
    let first = authorizer.verify(&token, NOW).await.unwrap();
    let just_before = Timestamp(first.expires_at.0 - 1);
    assert!(Arc::ptr_eq(&first, &authorizer.verify(&token, just_before).await.unwrap()));
    let late = authorizer.verify(&token, first.expires_at).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &late), "within the leeway it is verified each time");
    let end = first.expires_at.plus(Duration::from_secs(60));
    assert_eq!(authorizer.verify(&token, end).await.unwrap_err(), JwtError::Expired);
}

#[tokio::test]
async fn changed_rules_do_not_know_what_the_old_ones_allowed() {
    let world = World::new().await;
    let token = world.token();
    let first = world.authorizer().verify(&token, NOW).await.unwrap();
    let mut strict = rules();
    strict.allowed_audience = vec!["other".into()];
    let authorizer = world.issuers.authorizer(strict).unwrap();
    assert_eq!(authorizer.verify(&token, NOW).await.unwrap_err(), JwtError::Audience);
    let same = world.authorizer().verify(&token, NOW).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &same), "the same rules anew are new rules");
    assert_eq!(first.principal, same.principal);
}

#[tokio::test]
async fn a_token_is_remembered_as_long_as_its_key_is_published() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let token = world.token_with(&json!({"exp": at(10_000)}));
    let first = authorizer.verify(&token, NOW).await.unwrap();
    let second = Key::ed();
    world.server.answer(JWKS, jwks(&[second.jwk(Some("k2")), world.key.jwk(Some("renamed"))]));
    let other = second.token(&json!({"alg": "EdDSA", "kid": "k2"}), &claims(&json!({})));
    authorizer.verify(&other, after(31)).await.unwrap();
    let again = authorizer.verify(&token, after(32)).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "the key is the same, whatever its name");
    world.server.answer(JWKS, jwks(&[second.jwk(Some("k2"))]));
    let renewed = second.token(&json!({"alg": "EdDSA", "kid": "k3"}), &claims(&json!({})));
    assert_eq!(authorizer.verify(&renewed, after(62)).await.unwrap_err(), JwtError::UnknownKey);
    assert_eq!(authorizer.verify(&token, after(63)).await.unwrap_err(), JwtError::UnknownKey);
}

#[tokio::test]
async fn what_was_refused_is_not_remembered_as_good() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let early = world.token_with(&json!({"nbf": at(120)}));
    assert_eq!(authorizer.verify(&early, NOW).await.unwrap_err(), JwtError::NotYetValid);
    assert!(authorizer.verify(&early, after(60)).await.is_ok());
}

#[tokio::test]
async fn memory_for_verdicts_is_bounded() {
    let world = World::with(JwtOptions { verdicts: 64 * 1024, ..JwtOptions::default() }).await;
    let authorizer = world.authorizer();
    for number in 0..200 {
        let token = world.token_with(&json!({"sub": format!("user {number}"), "note": "x".repeat(1000)}));
        authorizer.verify(&token, NOW).await.unwrap();
    }
    let (entries, bytes) = world.issuers.remembered();
    assert!(entries > 5 && bytes <= 64 * 1024, "{entries} entries of {bytes} bytes");
}
