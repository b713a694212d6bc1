//! Keys, tokens, and a gateway that trusts the issuer.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use serde_json::{Value, json};
use sessiongate_storage::Timestamp;
use sessiongate_targets::{AddressPolicy, HostMap, HttpOptions, Outbound};
use url::Url;

use super::server::{Answer, Server};
use crate::auth::jwt::{IssuerOptions, Issuers, JwtAuthorizer, JwtError, JwtOptions, JwtRules, Verified};

pub const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub const ISSUER: &str = "https://issuer.example";
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const JWKS: &str = "/jwks";

pub enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// An issuer, and what a gateway is made of.
pub struct World {
    pub server: Server,
    pub issuers: Arc<Issuers>,
    pub key: Key,
}

// === impl Key ===

impl Key {
    pub fn rsa() -> Self {
        Self::rsa_of(KeySize::Rsa2048)
    }

    pub fn rsa_of(size: KeySize) -> Self {
        Self::Rsa(RsaKeyPair::generate(size).unwrap())
    }

    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    /// What it signs with where nothing else is said.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed(_) => "EdDSA",
        }
    }

    pub fn jwk(&self, kid: Option<&str>) -> Value {
        let point = |crv: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({"kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y)})
        };
        let mut jwk = match self {
            Self::Rsa(pair) => {
                let (n, e) = components(pair);
                json!({"kty": "RSA", "n": base64url(n), "e": base64url(e)})
            }
            Self::P256(pair) => point("P-256", pair.public_key().as_ref()),
            Self::P384(pair) => point("P-384", pair.public_key().as_ref()),
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key())}),
        };
        jwk["use"] = "sig".into();
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    /// Signs whatever it is given, as `alg` says.
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
        let alg = header["alg"].as_str().unwrap_or_default();
        format!("{message}.{}", base64url(self.sign(alg, message.as_bytes())))
    }
}

/// Modulus and exponent: the two integers of the public key's DER form.
pub fn components(pair: &RsaKeyPair) -> (Vec<u8>, Vec<u8>) {
    let der = pair.public_key().as_ref().to_vec();
    let mut at = 4;
    let mut integer = || {
        assert_eq!(der[at], 2, "an INTEGER");
        let (length, start) = match der[at + 1] {
            0x82 => (usize::from(der[at + 2]) << 8 | usize::from(der[at + 3]), at + 4),
            0x81 => (usize::from(der[at + 2]), at + 3),
            short => (usize::from(short), at + 2),
        };
        at = start + length;
        let bytes = &der[start..at];
        bytes[usize::from(bytes[0] == 0)..].to_vec()
    };
    (integer(), integer())
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn jwks(keys: &[Value]) -> Answer {
    Answer::Json(json!({"keys": keys}))
}

// === impl World ===

impl World {
    /// An issuer at a public name, which the host map leads to loopback; its one key is `k1`, of P-256.
    pub async fn new() -> Self {
        Self::with(JwtOptions::default()).await
    }

    pub async fn with(options: JwtOptions) -> Self {
        let server = Server::start().await;
        let key = Key::p256();
        server.answer(DISCOVERY, Answer::Json(metadata(&format!("{ISSUER}{JWKS}"))));
        server.answer(JWKS, jwks(&[key.jwk(Some("k1"))]));
        let hosts = HostMap::new([("issuer.example".to_owned(), server.base.clone())]).unwrap();
        let issuers = Issuers::new(outbound(&[], hosts), options);
        Self { server, issuers, key }
    }

    /// The gateway's authoriser: audience `gw`.
    pub fn authorizer(&self) -> JwtAuthorizer {
        self.issuers.authorizer(rules()).unwrap()
    }

    /// A good token.
    pub fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    /// A good token but for these claims; null takes one out.
    pub fn token_with(&self, changes: &Value) -> String {
        self.key.token(&json!({"alg": "ES256", "kid": "k1"}), &claims(changes))
    }

    /// What the gateway says to a token with this header and otherwise good claims.
    pub async fn with_header(&self, header: &Value) -> Result<Arc<Verified>, JwtError> {
        self.authorizer().verify(&self.key.token(header, &claims(&json!({}))), NOW).await
    }
}

pub fn outbound(allowed: &[&str], hosts: HostMap) -> Outbound {
    let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
    let options =
        HttpOptions { policy: AddressPolicy { allowed }, connect: Duration::from_secs(3), ..HttpOptions::default() };
    Outbound::new(options, hosts).unwrap()
}

pub fn metadata(jwks_uri: &str) -> Value {
    json!({"issuer": ISSUER, "jwks_uri": jwks_uri, "authorization_endpoint": format!("{ISSUER}/authorize")})
}

pub fn rules() -> JwtRules {
    let mut rules = JwtRules::new(Url::parse(&format!("{ISSUER}{DISCOVERY}")).unwrap());
    rules.allowed_audience = vec!["gw".into()];
    rules
}

/// Good claims but for these changes.
pub fn claims(changes: &Value) -> Value {
    let seconds = NOW.0 / 1000;
    let mut claims = json!({
        "iss": ISSUER, "sub": "ada", "aud": "gw", "client_id": "console", "scope": "shop/read shop/write",
        "iat": seconds - 10, "exp": seconds + 3600,
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// Seconds since the epoch, as claims have them.
pub fn at(offset: i64) -> i64 {
    i64::try_from(NOW.0 / 1000).unwrap() + offset
}

pub fn quick(waiting: usize) -> JwtOptions {
    JwtOptions { issuer: IssuerOptions { waiting, ..IssuerOptions::default() }, ..JwtOptions::default() }
}
