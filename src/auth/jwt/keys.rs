//! The keys that an issuer publishes (RFC 7517).

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::value::RawValue;
use sessiongate_storage::Timestamp;

use super::error::JwtError;
use super::token::{Presented, algorithm};

/// What names a key whatever its `kid`: a hash of its public part.
pub(super) type Thumbprint = [u8; 32];

/// The keys of an issuer, as they were at one time.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Grows with each set of the same issuer.
    pub generation: u64,
    /// What `iss` must be.
    pub issuer: Arc<str>,
    /// When it was asked for: what was published before is in it, or was taken back.
    pub fetched_at: Timestamp,
    /// From here on a newer set should be fetched.
    pub refresh_at: Timestamp,
    /// From here on these keys are too old to believe.
    pub usable_until: Timestamp,
    /// Names of keys that earlier sets had.
    retired: Vec<Box<str>>,
    /// Keys of the document that cannot be used.
    pub unusable: usize,
}

/// When a key set is what.
pub(super) struct Times {
    /// [`KeySet::fetched_at`].
    pub fetched_at: Timestamp,
    /// [`KeySet::refresh_at`].
    pub refresh_at: Timestamp,
    /// [`KeySet::usable_until`].
    pub usable_until: Timestamp,
}

/// Keys that can be used, of one document.
pub(super) struct ParsedKeys {
    keys: Vec<Key>,
    /// How many were left out: for encryption, symmetric, of an unknown kind, too weak, broken.
    pub unusable: usize,
}

struct Key {
    kid: Option<Box<str>>,
    /// What it may verify: what it says itself, else what its type can.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
    thumbprint: Thumbprint,
}

/// What no key of the set says about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// The set has no such key; a newer one may.
    NoKey,
    /// Refused for good.
    Refused(JwtError),
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The members of a JWK that matter here (RFC 7517, 4; RFC 7518, 6; RFC 8037, 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// More keys are a mistake or an attack.
const MAX_KEYS: usize = 256;
/// Keys that are tried for one token: keys that share a name, or all of a set without names.
const MAX_TRIES: usize = 8;
/// RFC 7518, 3.3 and 3.5 want at least 2048 bits; above 8192 a signature costs too much to verify.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

// === impl ParsedKeys ===

impl ParsedKeys {
    /// Reads a key set. Keys that cannot be used are left out (RFC 7517, 5); none where it is no key set.
    pub fn parse(document: &[u8]) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(document).ok()?;
        let all = document.keys.len();
        let keys: Vec<Key> = document.keys.into_iter().take(MAX_KEYS).filter_map(Key::parse).collect();
        Some(Self { unusable: all - keys.len(), keys })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

// === impl KeySet ===

impl KeySet {
    pub fn new(parsed: ParsedKeys, generation: u64, issuer: Arc<str>, times: Times, before: Option<&Self>) -> Self {
        let ParsedKeys { keys, unusable } = parsed;
        let Times { fetched_at, refresh_at, usable_until } = times;
        let names = |keys: &[Key]| keys.iter().filter_map(|key| key.kid.clone()).collect::<Vec<_>>();
        let now = names(&keys);
        let mut retired = before.map(|before| names(&before.keys)).unwrap_or_default();
        retired.extend(before.into_iter().flat_map(|before| before.retired.iter().cloned()));
        retired.retain(|kid| !now.contains(kid));
        retired.truncate(MAX_KEYS);
        Self { keys, generation, issuer, fetched_at, refresh_at, usable_until, retired, unusable }
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there was a key of this name, and is none any more.
    pub fn is_retired(&self, kid: &str) -> bool {
        self.retired.iter().any(|retired| **retired == *kid)
    }

    /// Whether this very key is still published.
    pub fn has(&self, thumbprint: &Thumbprint) -> bool {
        self.keys.iter().any(|key| key.thumbprint == *thumbprint)
    }

    /// Verifies the signature with the key that the token names, or with all that fit where it names none. Says which
    /// key it was.
    pub fn verify(&self, token: &Presented<'_>) -> Result<Thumbprint, Unverified> {
        let named = |key: &&Key| token.kid.is_none() || key.kid.as_deref() == token.kid.as_deref();
        let mut candidates = self.keys.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Err(Unverified::NoKey);
        }
        let mut tried = false;
        for key in candidates.filter(|key| key.algorithms.contains(&token.algorithm)).take(MAX_TRIES) {
            tried = true;
            let verdict = crypto::verify(token.signature, token.message.as_bytes(), &key.key, token.algorithm);
            if verdict.unwrap_or(false) {
                return Ok(key.thumbprint);
            }
        }
        match (&token.kid, tried) {
            // Without a name nothing tells a forged signature from one by a key that is new.
            (None, _) => Err(Unverified::NoKey),
            (Some(_), true) => Err(Unverified::Refused(JwtError::Signature)),
            (Some(_), false) => Err(Unverified::Refused(JwtError::KeyMismatch)),
        }
    }
}

// === impl Key ===

impl Key {
    fn parse(raw: &RawValue) -> Option<Self> {
        let jwk: Jwk = serde_json::from_str(raw.get()).ok()?;
        let for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !for_signatures {
            return None;
        }
        let (algorithms, material, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes(jwk.n.as_ref())?, bytes(jwk.e.as_ref())?);
                // `Base64urlUInt` has no leading zeros, but some write them.
                let start = modulus.iter().position(|byte| *byte != 0)?;
                let modulus = &modulus[start..];
                if !RSA_BYTES.contains(&modulus.len()) || exponent.len() > 8 {
                    return None;
                }
                let key = DecodingKey::from_rsa_raw_components(modulus, &exponent);
                (&RSA[..], [modulus, &exponent].concat(), key)
            }
            ("EC", Some(curve)) => {
                let (algorithms, size) = match curve {
                    "P-256" => (&[Algorithm::ES256], 32),
                    "P-384" => (&[Algorithm::ES384], 48),
                    _ => return None,
                };
                let (x, y) = (jwk.x.as_ref()?, jwk.y.as_ref()?);
                let point = [bytes(Some(x))?, bytes(Some(y))?];
                if point.iter().any(|coordinate| coordinate.len() != size) {
                    return None;
                }
                (&algorithms[..], point.concat(), DecodingKey::from_ec_components(x, y).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                let x = jwk.x.as_ref()?;
                let point = bytes(Some(x)).filter(|point| point.len() == 32)?;
                (&[Algorithm::EdDSA][..], point, DecodingKey::from_ed_components(x).ok()?)
            }
            // Symmetric keys are never taken from a document that anybody can read.
            _ => return None,
        };
        let algorithms: Vec<Algorithm> = match jwk.alg.as_deref() {
            None => algorithms.to_vec(),
            Some(own) => vec![algorithm(own).ok().filter(|own| algorithms.contains(own))?],
        };
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(jwk.kty.as_bytes());
        context.update(&[0]);
        context.update(&material);
        let mut thumbprint = Thumbprint::default();
        thumbprint.copy_from_slice(context.finish().as_ref());
        Some(Self { kid: jwk.kid.map(Into::into), algorithms, key, thumbprint })
    }
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok().filter(|bytes| !bytes.is_empty())
}
