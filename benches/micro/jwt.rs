//! What a token costs: one that was seen before, and one that comes for the first time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion};
use serde_json::{Value, json};
use sessiongate::auth::jwt::{Issuers, JwtAuthorizer, JwtOptions, JwtRules};
use sessiongate_targets::{HostMap, HttpOptions, Outbound};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::Url;

use super::START;

const ISSUER: &str = "https://issuer.example";

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of the size that Cognito and Entra make, and the key to verify it.
fn token(alg: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let seconds = START.0 / 1000;
    let claims = json!({
        "iss": ISSUER, "sub": "8f1c2a7e-4b0d-4c6e-9a35-0d6f7f1b2c3d", "aud": ["https://gw.example/gateways/shop/mcp"],
        "client_id": "3q8a1v0s7d5f6g4h2j9k", "scope": "shop/read shop/write openid", "iat": seconds, "nbf": seconds,
        "exp": seconds + 3600, "jti": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "roles": vec!["a-role-of-some-length"; 12],
    });
    let header = json!({"alg": alg, "kid": alg, "typ": "at+jwt"});
    let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

/// Serves both documents for as long as the bench runs.
fn issuer(runtime: &Runtime, keys: Value) -> Option<Arc<Issuers>> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).ok()?;
    let base = Url::parse(&format!("http://{}", listener.local_addr().ok()?)).ok()?;
    let document = |value: Value| get(move || async move { axum::Json(value) });
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            document(json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/jwks")})),
        )
        .route("/jwks", document(json!({"keys": keys})));
    runtime.spawn(async move { axum::serve(listener, router).await });
    let hosts = HostMap::new([("issuer.example".to_owned(), base)]).ok()?;
    Some(Issuers::new(Outbound::new(HttpOptions::default(), hosts).ok()?, JwtOptions::default()))
}

fn authorizer(issuers: &Issuers) -> JwtAuthorizer {
    let Ok(url) = Url::parse(&format!("{ISSUER}/.well-known/openid-configuration")) else { panic!("no url") };
    let mut rules = JwtRules::new(url);
    rules.allowed_audience = vec!["https://gw.example/gateways/shop/mcp".into()];
    rules.allowed_scopes = vec!["shop/write".into()];
    match issuers.authorizer(rules) {
        Ok(authorizer) => authorizer,
        Err(error) => panic!("{error}"),
    }
}

pub fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("jwt");
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let random = SystemRandom::new();
    let (Ok(rsa), Ok(ec)) =
        (RsaKeyPair::generate(KeySize::Rsa2048), EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING))
    else {
        return;
    };
    let components = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let keys = json!([
        {"kty": "RSA", "kid": "RS256", "n": base64url(&components.n), "e": base64url(&components.e)},
        {"kty": "EC", "kid": "ES256", "crv": "P-256", "x": base64url(x), "y": base64url(y)},
    ]);
    let Some(issuers) = issuer(&runtime, keys) else { return };
    let rs256 = token("RS256", |message| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        match rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature) {
            Ok(()) => signature,
            Err(error) => panic!("{error}"),
        }
    });
    let es256 = token("ES256", |message| match ec.sign(&random, message) {
        Ok(signature) => signature.as_ref().to_vec(),
        Err(error) => panic!("{error}"),
    });
    let known = authorizer(&issuers);
    if let Err(error) = runtime.block_on(known.verify(&rs256, START)) {
        panic!("{error}: {:?}", error.detail());
    }
    let later = START.plus(Duration::from_secs(1));
    group.bench_function(format!("a token of {} B seen before", rs256.len()), |b| {
        b.iter(|| runtime.block_on(known.verify(black_box(&rs256), later)));
    });
    for (name, token) in [("a new token, RS256", &rs256), ("a new token, ES256", &es256)] {
        // New rules have not seen any token.
        group.bench_function(name, |b| {
            b.iter_batched(
                || authorizer(&issuers),
                |new| runtime.block_on(new.verify(black_box(token), later)),
                BatchSize::SmallInput,
            );
        });
    }
}
