//! Sessions and their bounds.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::units;

/// Whether a gateway keeps sessions: a mapping with settings, or `off` for stateless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// With `Mcp-Session-Id`.
    On(SessionSettings),
    /// Each request stands alone: nothing that needs a session is offered.
    Off,
}

/// How long sessions live and how much one may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// How long a session lives, counted from `initialize`, whatever happens in it: 15m to 8h. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub timeout: Duration,
    /// How long a session lives without a request and without an open stream: at least 1s. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub idle_timeout: Duration,
    /// Sessions that one principal may hold in this gateway; anonymous callers count as one principal. Since 0.1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_per_principal: u32,
    /// Calls of one session that run at once. Since 0.1.
    #[schemars(range(min = 1, max = 10_000))]
    pub calls_in_flight: u32,
    /// SSE streams that one session has open at once. Since 0.1.
    #[schemars(range(min = 1, max = 1_000))]
    pub open_streams: u32,
    /// Questions of targets (elicitation, sampling, roots) that wait for an answer in one session. Since 0.1.
    #[schemars(range(min = 1, max = 10_000))]
    pub pending_questions: u32,
    /// Notifications that wait for a client that does not read. Since 0.1.
    #[schemars(range(min = 1, max = 100_000))]
    pub queued_notifications: u32,
    /// What is kept of each stream so that a client can resume it. Since 0.1.
    pub events: EventLimits,
}

/// What is kept of each stream; what comes first counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventLimits {
    /// Events of one stream. Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Their bytes together, as a number or with a unit. Since 0.1.
    #[serde(with = "units::size")]
    #[schemars(with = "units::size::Text")]
    pub bytes: u64,
    /// The age of an event. Since 0.1.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::duration::Text")]
    pub age: Duration,
}

// === impl Sessions ===

impl Sessions {
    /// The settings, unless sessions are off.
    #[must_use]
    pub fn settings(&self) -> Option<&SessionSettings> {
        match self {
            Self::On(settings) => Some(settings),
            Self::Off => None,
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::On(SessionSettings::default())
    }
}

impl Serialize for Sessions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::On(settings) => settings.serialize(serializer),
            Self::Off => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for Sessions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Settings(SessionSettings),
            Word(String),
            Flag(bool),
        }
        match Written::deserialize(deserializer)? {
            Written::Settings(settings) => Ok(Self::On(settings)),
            Written::Word(word) if word == "off" => Ok(Self::Off),
            Written::Flag(false) => Ok(Self::Off),
            Written::Word(_) | Written::Flag(true) => Err(serde::de::Error::custom("neither settings nor `off`")),
        }
    }
}

impl JsonSchema for Sessions {
    fn schema_name() -> Cow<'static, str> {
        "Sessions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<SessionSettings>();
        // YAML 1.1 parsers, and with them some editors, read a bare `off` as false.
        json_schema!({
            "description": "Whether a gateway keeps sessions: a mapping with settings, or `off` for stateless.",
            "anyOf": [settings, {"const": "off"}, {"const": false}],
        })
    }
}

// === impl SessionSettings ===

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60 * 60),
            idle_timeout: Duration::from_secs(30 * 60),
            max_per_principal: 1000,
            calls_in_flight: 64,
            open_streams: 16,
            pending_questions: 32,
            queued_notifications: 256,
            events: EventLimits::default(),
        }
    }
}

// === impl EventLimits ===

impl Default for EventLimits {
    fn default() -> Self {
        Self { count: 1024, bytes: 4 << 20, age: Duration::from_secs(30 * 60) }
    }
}
