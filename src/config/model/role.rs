//! With which key the role of a gateway signs.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sessiongate_targets::aws::{AwsCredentials, RoleKey};

use crate::config::secret::Secret;

/// With which key a role signs: a word, or a mapping with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleConfig {
    /// The process's own.
    Own,
    /// A temporary one that STS gives for the process's own.
    Assume,
    /// This one.
    Key(RoleAccessKey),
}

/// A key of the role's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleAccessKey {
    /// The id of an access key. Since 0.1.
    pub access_key_id: String,
    /// Its secret, best as a reference: `"${SHOP_SECRET}"`. Since 0.1.
    pub secret_access_key: Secret,
    /// The session token of temporary credentials. Since 0.1.
    #[serde(default)]
    pub session_token: Option<Secret>,
}

// === impl RoleConfig ===

impl RoleConfig {
    /// In the words of the outgoing side.
    #[must_use]
    pub fn key(&self) -> RoleKey {
        let text = |secret: &Secret| secret.expose().to_owned().into();
        match self {
            Self::Own => RoleKey::Own,
            Self::Assume => RoleKey::Assume,
            Self::Key(key) => RoleKey::Fixed(AwsCredentials {
                access_key_id: key.access_key_id.clone(),
                secret_access_key: text(&key.secret_access_key),
                session_token: key.session_token.as_ref().map(text),
            }),
        }
    }
}

impl Serialize for RoleConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own => serializer.serialize_str("own"),
            Self::Assume => serializer.serialize_str("assume"),
            Self::Key(key) => key.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RoleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Key(RoleAccessKey),
        }
        match Written::deserialize(deserializer)? {
            Written::Key(key) => Ok(Self::Key(key)),
            Written::Word(word) => match word.as_str() {
                "own" => Ok(Self::Own),
                "assume" => Ok(Self::Assume),
                _ => Err(serde::de::Error::custom("neither `own`, `assume` nor a mapping with `access_key_id`")),
            },
        }
    }
}

impl JsonSchema for RoleConfig {
    fn schema_name() -> Cow<'static, str> {
        "RoleConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let key = generator.subschema_for::<RoleAccessKey>();
        json_schema!({
            "anyOf": [
                {"const": "own", "description": "The process's own key."},
                {"const": "assume", "description": "A temporary key that STS gives for the process's own."},
                key,
            ],
        })
    }
}
