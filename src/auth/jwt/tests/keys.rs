//! Keys that come, go, are missing, or are not what they seem.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use aws_lc_rs::rsa::KeySize;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::server::Answer;
use super::support::{
    DISCOVERY, ISSUER, JWKS, Key, NOW, World, after, at, base64url, claims, jwks, metadata, quick, rules,
};
use crate::auth::jwt::{IssuerOptions, JwtError, JwtOptions};

const DAY: u64 = 24 * 3600;

fn named(key: &Key, kid: &str) -> String {
    key.token(&json!({"alg": key.algorithm(), "kid": kid}), &claims(&json!({"exp": after(10 * DAY).0 / 1000})))
}

fn nameless(key: &Key) -> String {
    key.token(&json!({"alg": key.algorithm()}), &claims(&json!({})))
}

/// Nobody looks at the signature of a token whose key is not known.
fn unsigned(kid: &str) -> String {
    unsigned_with(kid, &json!({"exp": after(10 * DAY).0 / 1000}))
}

fn unsigned_with(kid: &str, changes: &Value) -> String {
    let header = json!({"alg": "ES256", "kid": kid});
    format!("{}.{}.AAAA", base64url(header.to_string()), base64url(claims(changes).to_string()))
}

async fn verdict(published: &[Value], token: &str) -> Result<(), JwtError> {
    let world = World::new().await;
    world.server.answer(JWKS, jwks(published));
    world.authorizer().verify(token, NOW).await.map(drop)
}

#[tokio::test]
async fn a_hundred_first_tokens_ask_once() {
    let world = World::new().await;
    let (one, other) = (world.authorizer(), world.issuers.authorizer(rules()).unwrap());
    let token = world.token();
    let verdicts = join_all((0..100).map(|turn| [&one, &other][turn % 2].verify(&token, NOW))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!((world.server.hits(DISCOVERY), world.server.hits(JWKS)), (1, 1));
}

#[tokio::test]
async fn ten_thousand_unknown_keys_cost_the_issuer_one_request_in_half_a_minute() {
    let world = World::with(quick(64)).await;
    let authorizer = world.authorizer();
    authorizer.verify(&world.token(), NOW).await.unwrap();
    assert_eq!(world.server.hits(JWKS), 1);
    // The issuer may have made a key just after: the first unknown one is worth a look. The next may be newer still, and
    // comes again.
    assert_eq!(authorizer.verify(&unsigned("early"), after(1)).await.unwrap_err(), JwtError::UnknownKey);
    assert_eq!(world.server.hits(JWKS), 2);
    let pending = |seconds| JwtError::KeyPending { retry_after: Duration::from_secs(seconds) };
    assert_eq!(authorizer.verify(&unsigned("late"), after(3)).await.unwrap_err(), pending(28));
    assert_eq!(world.server.hits(JWKS), 2);
    let tokens: Vec<String> = (0..10_000).map(|number| unsigned(&format!("x{number}"))).collect();
    let flood = join_all(tokens.iter().map(|token| authorizer.verify(token, after(31)))).await;
    let count = |fits: fn(&JwtError) -> bool| flood.iter().filter(|verdict| verdict.as_ref().is_err_and(fits)).count();
    assert_eq!(count(|error| *error == JwtError::UnknownKey), 64, "who waited");
    assert_eq!(count(|error| matches!(error, JwtError::Unavailable { .. })), 10_000 - 64, "who found no place");
    assert_eq!(world.server.hits(JWKS), 3);
    for token in &tokens[..100] {
        assert_eq!(authorizer.verify(token, after(60)).await.unwrap_err(), pending(1));
    }
    assert!(authorizer.verify(&world.token_with(&json!({"sub": "bob"})), after(60)).await.is_ok());
    assert_eq!((world.server.hits(DISCOVERY), world.server.hits(JWKS)), (1, 3));
    // An hour of them: one in each pause, and one more in each ten.
    for second in 61..=3660 {
        let _ = authorizer.verify(&tokens[usize::try_from(second).unwrap()], after(second)).await;
    }
    let asked = world.server.hits(JWKS) - 3;
    assert!((120..=132).contains(&asked), "{asked}");
}

#[tokio::test]
async fn what_could_be_no_token_of_the_issuer_costs_no_request() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    authorizer.verify(&world.token(), NOW).await.unwrap();
    for (changes, error) in [
        (json!({"iss": "https://elsewhere.example"}), JwtError::Issuer),
        (json!({"exp": 1}), JwtError::Expired),
        (json!({"nbf": after(7200).0 / 1000}), JwtError::NotYetValid),
        (json!({"token_use": "id"}), JwtError::Kind),
        (json!({"exp": null}), JwtError::MissingClaim("exp")),
    ] {
        let token = world.key.token(&json!({"alg": "ES256", "kid": "other"}), &claims(&changes));
        assert_eq!(authorizer.verify(&token, after(40)).await.unwrap_err(), error, "{changes}");
    }
    assert_eq!(world.server.hits(JWKS), 1);
}

#[tokio::test]
async fn a_key_that_was_taken_back_is_not_waited_for() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let (old, two, three) = (named(&world.key, "k1"), Key::p256(), Key::p256());
    authorizer.verify(&old, NOW).await.unwrap();
    for (key, kid, second) in [(&two, "k2", 1), (&three, "k3", 40)] {
        world.server.answer(JWKS, jwks(&[key.jwk(Some(kid))]));
        authorizer.verify(&named(key, kid), after(second)).await.unwrap();
    }
    for gone in [&old, &named(&two, "k2")] {
        assert_eq!(authorizer.verify(gone, after(41)).await.unwrap_err(), JwtError::UnknownKey);
    }
    let error = authorizer.verify(&unsigned("k4"), after(41)).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (503, "token_key_pending"));
    assert!(error.challenge().is_none() && error.to_string().contains("29 s"), "{error}");
    // It comes back: the issuer says so when it may be asked again.
    world.server.answer(JWKS, jwks(&[world.key.jwk(Some("k1"))]));
    assert!(authorizer.verify(&old, after(70)).await.is_ok());
}

#[tokio::test]
async fn a_new_key_is_found_with_one_request_and_the_old_one_is_forgotten() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let old = named(&world.key, "k1");
    authorizer.verify(&old, NOW).await.unwrap();
    let next = Key::ed();
    world.server.answer(JWKS, jwks(&[next.jwk(Some("k2"))]));
    let burst = named(&next, "k2");
    let verdicts = join_all((0..50).map(|_| authorizer.verify(&burst, after(40)))).await;
    assert!(verdicts.iter().all(Result::is_ok), "a burst after a rotation waits for the same fetch");
    assert_eq!((world.server.hits(DISCOVERY), world.server.hits(JWKS)), (1, 2));
    // Verified before, and not any more.
    assert_eq!(authorizer.verify(&old, after(41)).await.unwrap_err(), JwtError::UnknownKey);
}

#[tokio::test]
async fn keys_are_renewed_in_the_background_before_they_are_old() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let token = named(&world.key, "k1");
    authorizer.verify(&token, NOW).await.unwrap();
    authorizer.verify(&token, after(2699)).await.unwrap();
    assert_eq!(world.server.hits(JWKS), 1);
    // Three quarters of an hour: the answer does not wait for the fetch.
    let mut check = pin!(authorizer.verify(&token, after(2700)));
    assert!(check.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    authorizer.issuer().landed().await;
    assert_eq!((world.server.hits(DISCOVERY), world.server.hits(JWKS)), (1, 2));
    authorizer.verify(&token, after(5000)).await.unwrap();
    assert_eq!(world.server.hits(JWKS), 2);
    authorizer.verify(&token, after(5400)).await.unwrap();
    authorizer.issuer().landed().await;
    assert_eq!((world.server.hits(DISCOVERY), world.server.hits(JWKS)), (2, 3), "metadata grow old, too");
}

#[tokio::test]
async fn a_token_from_before_the_keys_were_fetched_waits_for_no_newer_key() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    authorizer.verify(&world.token(), NOW).await.unwrap();
    // Anybody can bring the one unknown key that is asked for in this pause.
    assert_eq!(authorizer.verify(&unsigned("any"), after(1)).await.unwrap_err(), JwtError::UnknownKey);
    let (pending, leeway) = (JwtError::KeyPending { retry_after: Duration::from_secs(29) }, 60);
    for (issued, error) in [
        // Whoever signed it had its key when the issuer published others: the client must get another token.
        (json!(at(-3600)), JwtError::UnknownKey),
        (json!(at(-leeway)), JwtError::UnknownKey),
        // Its key may be newer, as far as the clocks can be trusted.
        (json!(at(1 - leeway)), pending.clone()),
        (json!(at(2)), pending.clone()),
        (Value::Null, pending.clone()),
    ] {
        let token = unsigned_with("gone", &json!({"iat": issued}));
        for again in 0..2 {
            assert_eq!(authorizer.verify(&token, after(2)).await.unwrap_err(), error, "{issued}, {again}");
        }
    }
    // What it says about its time is not proven: what no issuer signed is told nothing better.
    let foreign = unsigned_with("gone", &json!({"iat": at(-3600), "iss": "https://elsewhere.example"}));
    assert_eq!(authorizer.verify(&foreign, after(2)).await.unwrap_err(), JwtError::Issuer);
    assert_eq!(world.server.hits(JWKS), 2);
    // A key that comes back is found when the issuer may be asked again.
    let (old, back) = (Key::p256(), "back");
    let token = old.token(&json!({"alg": "ES256", "kid": back}), &claims(&json!({"iat": at(-3600)})));
    world.server.answer(JWKS, jwks(&[old.jwk(Some(back))]));
    assert_eq!(authorizer.verify(&token, after(30)).await.unwrap_err(), JwtError::UnknownKey);
    assert!(authorizer.verify(&token, after(31)).await.is_ok());
}

#[tokio::test]
async fn what_the_issuer_says_about_freshness_counts_within_bounds() {
    for (said, fresh) in
        [("max-age=7200", 5400), ("no-store", 225), ("max-age=1", 225), ("max-age=999999999", DAY * 3 / 4)]
    {
        let world = World::new().await;
        world.server.answer(JWKS, Answer::Cached(json!({"keys": [world.key.jwk(Some("k1"))]}), said));
        let authorizer = world.authorizer();
        let token = named(&world.key, "k1");
        authorizer.verify(&token, NOW).await.unwrap();
        authorizer.verify(&token, after(fresh - 1)).await.unwrap();
        authorizer.issuer().landed().await;
        assert_eq!(world.server.hits(JWKS), 1, "{said}");
        authorizer.verify(&token, after(fresh)).await.unwrap();
        authorizer.issuer().landed().await;
        assert_eq!(world.server.hits(JWKS), 2, "{said}");
    }
}

#[tokio::test]
async fn keys_serve_on_while_the_issuer_is_down_for_a_day() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    authorizer.verify(&world.token(), NOW).await.unwrap();
    world.server.answer(JWKS, Answer::Status(500));
    world.server.answer(DISCOVERY, Answer::Status(500));
    for hours in [1, 2, 12, 24] {
        let token = world.token_with(&json!({"sub": format!("after {hours}"), "exp": after(3 * DAY).0 / 1000}));
        assert!(authorizer.verify(&token, after(hours * 3600)).await.is_ok(), "after {hours} hours");
        authorizer.issuer().landed().await;
    }
    // A key that is not known may have been made since: nothing can be said about it.
    let unknown = authorizer.verify(&unsigned("x"), after(DAY)).await.unwrap_err();
    assert_eq!(unknown.status(), 503);
    let token = named(&world.key, "k1");
    let error = authorizer.verify(&token, after(25 * 3600)).await.unwrap_err();
    assert_eq!(error.status(), 503, "{error:?}");
    assert!(error.detail().unwrap().contains("500") && !error.to_string().contains("500"), "{error:?}");
    world.server.answer(DISCOVERY, Answer::Json(metadata(&format!("{ISSUER}{JWKS}"))));
    world.server.answer(JWKS, jwks(&[world.key.jwk(Some("k1"))]));
    assert!(authorizer.verify(&token, after(26 * 3600)).await.is_ok());
}

#[tokio::test]
async fn keys_are_renewed_by_the_metadata_of_before_while_there_are_no_others() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    authorizer.verify(&world.token(), NOW).await.unwrap();
    world.server.answer(DISCOVERY, Answer::Status(500));
    let next = Key::ed();
    world.server.answer(JWKS, jwks(&[next.jwk(Some("k2"))]));
    assert!(authorizer.verify(&named(&next, "k2"), after(7200)).await.is_ok());
    // Not for ever: the name may belong to somebody else by then.
    let authorizer = world.authorizer();
    let error = authorizer.verify(&named(&next, "k2"), after(5 * DAY)).await.unwrap_err();
    assert_eq!(error.status(), 503, "{error:?}");
    assert_eq!(world.server.hits(JWKS), 2);
}

#[tokio::test]
async fn while_the_issuer_is_down_it_is_asked_less_and_less() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    world.server.answer(DISCOVERY, Answer::Status(503));
    let mut asked = Vec::new();
    for second in 0..200 {
        let error = authorizer.verify(&world.token(), after(second)).await.unwrap_err();
        assert!(error.retry_after().unwrap() >= Duration::from_secs(1), "{error:?}");
        if world.server.hits(DISCOVERY) > asked.len() {
            asked.push(second);
        }
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    world.server.answer(DISCOVERY, Answer::Json(metadata(&format!("{ISSUER}{JWKS}"))));
    assert!(authorizer.verify(&world.token(), after(243)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_is_given_up() {
    let world = World::new().await;
    world.server.answer(JWKS, Answer::Never);
    let error = world.authorizer().verify(&world.token(), NOW).await.unwrap_err();
    assert!(error.detail().unwrap().contains("10s"), "{error:?}");
}

#[tokio::test]
async fn a_request_that_goes_away_leaves_the_fetch_to_the_others() {
    let world = World::new().await;
    let authorizer = world.authorizer();
    let token = world.token();
    {
        let mut first = pin!(authorizer.verify(&token, NOW));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(authorizer.verify(&token, NOW).await.is_ok());
    assert_eq!((world.server.hits(DISCOVERY), world.server.hits(JWKS)), (1, 1));
}

#[tokio::test]
async fn a_fetch_ends_with_the_last_gateway_that_wants_it() {
    let hour = IssuerOptions::default().fetch;
    let fetch = sessiongate_targets::FetchLimits { deadline: Duration::from_secs(3600), ..hour };
    let issuer = IssuerOptions { fetch, ..IssuerOptions::default() };
    let world = World::with(JwtOptions { issuer, ..JwtOptions::default() }).await;
    world.server.answer(DISCOVERY, Answer::Never);
    let authorizer = world.authorizer();
    {
        let token = world.token();
        let mut check = pin!(authorizer.verify(&token, NOW));
        assert!(check.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let weak = Arc::downgrade(authorizer.issuer());
    let mut ended = authorizer.issuer().flight().unwrap();
    drop(authorizer);
    assert!(weak.upgrade().is_none());
    // Comes long before the deadline of the fetch, or never.
    assert!(ended.changed().await.is_err());
}

#[tokio::test]
async fn a_key_of_the_wrong_type_is_not_tried() {
    let (rsa, p256) = (Key::rsa(), Key::p256());
    assert_eq!(verdict(&[p256.jwk(Some("k1"))], &named(&rsa, "k1")).await, Err(JwtError::KeyMismatch));
    assert_eq!(verdict(&[rsa.jwk(Some("k1"))], &named(&p256, "k1")).await, Err(JwtError::KeyMismatch));
}

#[tokio::test]
async fn a_key_of_the_wrong_curve_is_not_tried() {
    let (p256, p384) = (Key::p256(), Key::p384());
    assert_eq!(verdict(&[p384.jwk(Some("k1"))], &named(&p256, "k1")).await, Err(JwtError::KeyMismatch));
    let mut lying = p384.jwk(Some("k1"));
    lying["crv"] = "P-256".into();
    assert_eq!(verdict(&[lying], &named(&p256, "k1")).await, Err(JwtError::UnknownKey), "its point is of another size");
}

#[tokio::test]
async fn a_key_is_used_for_its_own_algorithm_only() {
    let rsa = Key::rsa();
    let mut pss = rsa.jwk(Some("k1"));
    pss["alg"] = "PS256".into();
    let with = |alg: &str| rsa.token(&json!({"alg": alg, "kid": "k1"}), &claims(&json!({})));
    assert_eq!(verdict(std::slice::from_ref(&pss), &with("PS256")).await, Ok(()));
    assert_eq!(verdict(&[pss], &with("RS256")).await, Err(JwtError::KeyMismatch));
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_are_left_out() {
    let (key, weak) = (Key::p256(), Key::rsa_of(KeySize::Rsa2048));
    for (member, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("ECDH-ES")),
        ("alg", json!("HS256")),
        ("kty", json!("oct")),
        ("crv", json!("secp256k1")),
        ("x", json!("AAAA")),
        ("x", json!(7)),
    ] {
        let mut jwk = key.jwk(Some("k1"));
        jwk[member] = value;
        let verdict = verdict(&[jwk, weak.jwk(Some("other"))], &named(&key, "k1")).await;
        assert_eq!(verdict, Err(JwtError::UnknownKey), "{member}");
    }
    let mut short = weak.jwk(Some("k1"));
    short["n"] = base64url([0xff; 128]).into();
    assert_eq!(verdict(&[short], &named(&weak, "k1")).await, Err(JwtError::UnknownKey), "1024 bits");
    // What cannot be read does not spoil the rest.
    assert_eq!(verdict(&[json!("x"), json!({}), key.jwk(Some("k1"))], &named(&key, "k1")).await, Ok(()));
}

#[tokio::test]
async fn keys_of_the_same_name_are_all_tried() {
    let (one, two, other) = (Key::p256(), Key::p256(), Key::ed());
    let published = [one.jwk(Some("k")), other.jwk(Some("k")), two.jwk(Some("k"))];
    for key in [&one, &two, &other] {
        assert_eq!(verdict(&published, &named(key, "k")).await, Ok(()));
    }
    assert_eq!(verdict(&published, &named(&Key::p256(), "k")).await, Err(JwtError::Signature));
    let many: Vec<Value> = (0..8).map(|_| Key::p256().jwk(Some("k"))).chain([one.jwk(Some("k"))]).collect();
    assert_eq!(verdict(&many, &named(&one, "k")).await, Err(JwtError::Signature), "the ninth is not tried");
}

#[tokio::test]
async fn a_key_set_without_names_serves_tokens_without_names() {
    let (one, two) = (Key::p256(), Key::p256());
    let published = [one.jwk(None), two.jwk(None)];
    assert_eq!(verdict(&published, &nameless(&two)).await, Ok(()));
    assert_eq!(verdict(&published, &nameless(&Key::p256())).await, Err(JwtError::UnknownKey));
    assert_eq!(verdict(&published, &named(&one, "k1")).await, Err(JwtError::UnknownKey));
    assert_eq!(verdict(&[one.jwk(Some("k1"))], &nameless(&one)).await, Ok(()), "the only key needs no name");
}

#[tokio::test]
async fn a_key_set_without_names_rotates_too() {
    let world = World::new().await;
    world.server.answer(JWKS, jwks(&[world.key.jwk(None)]));
    let authorizer = world.authorizer();
    authorizer.verify(&nameless(&world.key), NOW).await.unwrap();
    let next = Key::p256();
    world.server.answer(JWKS, jwks(&[next.jwk(None)]));
    assert!(authorizer.verify(&nameless(&next), after(31)).await.is_ok());
    for number in 0..10 {
        let forged = Key::p256().token(&json!({"alg": "ES256"}), &claims(&json!({"jti": number})));
        let error = authorizer.verify(&forged, after(40)).await.unwrap_err();
        assert_eq!(error.code(), if number == 0 { "token_key_unknown" } else { "token_key_pending" });
    }
    assert_eq!(world.server.hits(JWKS), 3);
}
