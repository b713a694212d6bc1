//! The upstream as an authorization server: its documents, and a token.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where it describes itself.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Adds its pages. One worker, so that the key is one.
pub fn pages(config: &mut ServiceConfig) {
    let Ok(key) = Ed25519KeyPair::generate() else { return };
    let key = web::Data::new(key);
    config
        .app_data(key)
        .route(DISCOVERY, web::get().to(discovery))
        .route("/jwks", web::get().to(jwks))
        .route("/token", web::get().to(token));
}

fn url(request: &HttpRequest) -> String {
    format!("http://{}", request.app_config().local_addr())
}

async fn discovery(request: HttpRequest) -> HttpResponse {
    let issuer = url(&request);
    HttpResponse::Ok().json(serde_json::json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}))
}

async fn jwks(key: web::Data<Ed25519KeyPair>) -> HttpResponse {
    let jwk =
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": text(key.public_key())});
    HttpResponse::Ok().json(serde_json::json!({"keys": [jwk]}))
}

/// About as long as those of Cognito, Entra and Keycloak.
async fn token(request: HttpRequest, key: web::Data<Ed25519KeyPair>) -> HttpResponse {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = serde_json::json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"});
    let claims = serde_json::json!({
        "iss": url(&request), "sub": "5e1f0a52-90c1-7046-f8c0-3a1d21fa72c1", "aud": "bench", "client_id": "load-bench",
        "scope": "bench/call", "iat": now, "exp": now + 24 * 3600, "filler": "x".repeat(520),
    });
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let signature = key.sign(message.as_bytes());
    HttpResponse::Ok().body(format!("{message}.{}", text(signature)))
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
