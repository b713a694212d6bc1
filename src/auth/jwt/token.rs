//! A token as it came, before anything is believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::error::JwtError;

/// A signed JWT in compact form (RFC 7515, 7.1), taken apart.
pub(super) struct Presented<'a> {
    /// What is signed: header and payload with the dot between them.
    pub message: &'a str,
    pub signature: &'a str,
    payload: &'a str,
    pub algorithm: Algorithm,
    /// Which key it says it is signed with.
    pub kid: Option<String>,
}

/// What is read of the header. `jku`, `jwk`, `x5u` and `x5c` are not: a token does not say by which keys it is
/// verified.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

// === impl Presented ===

impl<'a> Presented<'a> {
    /// Takes a token apart. What can be refused by its header alone is refused here, before anything is fetched.
    pub fn parse(token: &'a str) -> Result<Self, JwtError> {
        const SHAPE: JwtError = JwtError::Malformed("it does not have three parts");
        let (message, signature) = token.rsplit_once('.').ok_or(SHAPE)?;
        let (header, payload) = message.split_once('.').ok_or(SHAPE)?;
        if payload.contains('.') {
            // Five parts are an encrypted token.
            return Err(SHAPE);
        }
        let header = decode(header)?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| JwtError::Malformed("its header cannot be read"))?;
        let algorithm = algorithm(&header.alg)?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(JwtError::Kind);
        }
        Ok(Self { message, signature, payload, algorithm, kid: header.kid })
    }

    /// The claims as JSON text.
    pub fn payload(&self) -> Result<Vec<u8>, JwtError> {
        decode(self.payload)
    }
}

/// Asymmetric algorithms only: with a symmetric one, whoever can verify can sign.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, JwtError> {
    match name {
        "RS256" => Ok(Algorithm::RS256),
        "RS384" => Ok(Algorithm::RS384),
        "RS512" => Ok(Algorithm::RS512),
        "PS256" => Ok(Algorithm::PS256),
        "PS384" => Ok(Algorithm::PS384),
        "PS512" => Ok(Algorithm::PS512),
        "ES256" => Ok(Algorithm::ES256),
        "ES384" => Ok(Algorithm::ES384),
        // RFC 9864 gives the curve a name of its own.
        "EdDSA" | "Ed25519" => Ok(Algorithm::EdDSA),
        _ => Err(JwtError::Algorithm),
    }
}

/// RFC 9068 (2.1, 4) wants `at+jwt` and nothing else. Cognito, Entra, Auth0 and Keycloak write `JWT` or nothing into access
/// tokens, so that those are taken too; every other type is a token for something else (RFC 8725, 3.11).
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed("a part of it is not base64url"))
}
