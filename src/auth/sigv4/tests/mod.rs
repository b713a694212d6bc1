//! Requests that the real botocore signed (tests/tools/sigv4_vectors.py), as they are and with one thing changed.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no #[test] functions, which clippy.toml would exempt")]

mod mutations;
mod properties;
mod signing;
mod vectors;
mod window;

use std::sync::LazyLock;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct File {
    now: String,
    keys: Vec<KeyEntry>,
    vectors: Vec<Vector>,
    outbound: Vec<Sent>,
}

#[derive(Deserialize)]
struct KeyEntry {
    id: String,
    secret: String,
    token: Option<String>,
}

/// A request that came in.
#[derive(Deserialize, Clone, Debug)]
struct Vector {
    name: String,
    form: String,
    access_key_id: String,
    method: String,
    path: String,
    query: String,
    authority: String,
    headers: Vec<(String, String)>,
    #[serde(deserialize_with = "from_base64")]
    body: Vec<u8>,
    refused: Option<String>,
}

/// A request that goes out.
#[derive(Deserialize)]
struct Sent {
    name: String,
    service: String,
    access_key_id: String,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    #[serde(deserialize_with = "from_base64")]
    body: Vec<u8>,
    added: std::collections::BTreeMap<String, String>,
}

fn from_base64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn file() -> &'static File {
    static FILE: LazyLock<File> = LazyLock::new(|| serde_json::from_str(include_str!("vectors.json")).unwrap());
    &FILE
}

fn now() -> SystemTime {
    instant::parse_amz(&file().now).unwrap()
}

/// Those that the default policy takes.
fn accepted() -> Vec<Vector> {
    file().vectors.iter().filter(|vector| vector.refused.is_none()).cloned().collect()
}

fn specs() -> Vec<AccessKeySpec> {
    let spec = |key: &KeyEntry| AccessKeySpec {
        principal_arn: format!("arn:aws:iam::123456789012:user/{}", key.id),
        access_key_id: key.id.clone(),
        secret: key.secret.as_str().into(),
        session_token: key.token.as_deref().map(Into::into),
        account: "123456789012".into(),
        permissions: vec!["bedrock-agentcore:Get*".into()],
    };
    file().keys.iter().map(spec).collect()
}

fn keys() -> AccessKeys {
    AccessKeys::new(specs()).unwrap()
}

// === impl Vector ===

impl Vector {
    fn parts(&self) -> RequestParts<'_, impl Iterator<Item = (&str, &[u8])>> {
        RequestParts {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
            authority: &self.authority,
            body: &self.body,
        }
    }

    fn verify(&self) -> Result<Verified, SigV4Error> {
        self.verify_with(&keys(), &Policy::default(), now())
    }

    fn verify_with(&self, keys: &AccessKeys, policy: &Policy, now: SystemTime) -> Result<Verified, SigV4Error> {
        verify(keys, policy, self.parts(), now)
    }

    fn is_presigned(&self) -> bool {
        self.form == "presigned"
    }

    fn header_mut(&mut self, name: &str) -> Option<&mut String> {
        self.headers.iter_mut().find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(sent, _)| sent.eq_ignore_ascii_case(name))
    }

    /// Of `SignedHeaders`.
    fn signed_headers(&self) -> Vec<String> {
        let text = match self.is_presigned() {
            true => self.query.split("X-Amz-SignedHeaders=").nth(1).unwrap().split('&').next().unwrap().to_owned(),
            false => {
                let (_, authorization) =
                    self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).unwrap();
                authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap().to_owned()
            }
        };
        text.replace("%3B", ";").split(';').map(str::to_owned).collect()
    }

    /// The same request with a text of the signature replaced, wherever the signature stands.
    fn with_signature(&self, from: &str, to: &str) -> Self {
        let mut changed = self.clone();
        match self.is_presigned() {
            true => changed.query = self.query.replace(&from.replace('/', "%2F"), &to.replace('/', "%2F")),
            false => {
                let value = changed.header_mut("authorization").unwrap();
                *value = value.replace(from, to);
            }
        }
        assert!(changed.query != self.query || changed.headers != self.headers, "{}: {from} is not there", self.name);
        changed
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}
