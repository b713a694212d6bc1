//! Values that are written as text: durations, sizes, networks, addresses, URLs.
//!
//! Each kind has a JSON Schema `format` of its own, so that the checker can find every bad value in one pass and say
//! what to write instead; see [`Format`].

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// A kind of text, named by the `format` of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `15m`, `1h30m`, `250ms`.
    Duration,
    /// `6MB`, `4MiB`, `65536`.
    ByteSize,
    /// `10.0.0.0/8`, `::1`.
    Network,
    /// `127.0.0.1:8080`.
    Address,
    /// `https://…`.
    HttpUrl,
}

/// The URL of something remote. Its query may hold a key, so `Debug` and `Display` leave the query out.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

// === impl Format ===

impl Format {
    /// The format that a schema names, unless it is one that says nothing about the text.
    #[must_use]
    pub fn from_schema(name: &str) -> Option<Self> {
        Some(match name {
            "duration-text" => Self::Duration,
            "byte-size" => Self::ByteSize,
            "ip-network" => Self::Network,
            "socket-address" => Self::Address,
            "http-url" => Self::HttpUrl,
            _ => return None,
        })
    }

    /// Whether `text` is one of these. The error is what to write instead.
    pub fn check(self, text: &str) -> Result<(), &'static str> {
        match self {
            Self::Duration if parse_duration(text).is_none() => {
                Err("write a number with a unit: 250ms, 15s, 15m, 1h, 1h30m")
            }
            Self::ByteSize if parse_size(text).is_none() => Err("write bytes as a number or with a unit: 6MB, 4MiB"),
            Self::Network if parse_network(text).is_none() => {
                Err("write a network like 10.0.0.0/8 or fd00::/8, or one address like 127.0.0.1")
            }
            Self::Address if parse_address(text).is_none() => {
                Err("write an IP address with a port: 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for all interfaces")
            }
            Self::HttpUrl if Endpoint::from_str(text).is_err() => {
                Err("write a URL that starts with http:// or https://")
            }
            _ => Ok(()),
        }
    }
}

/// `1h30m` and its like; a bare number has no unit and is refused, but `0` is clear.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" { Some(Duration::ZERO) } else { humantime::parse_duration(text).ok() }
}

/// Bytes: a number, or a number with a decimal (`MB`) or binary (`MiB`) unit.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    text.parse::<ByteSize>().ok().map(|size| size.as_u64())
}

/// A network; a bare address is the network of that one address.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// An address with a port; `localhost:8080` is 127.0.0.1.
#[must_use]
pub fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    }
    text.parse().ok()
}

/// The shortest exact spelling: `6MiB`, `6MB`, else bytes.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 8] = [
        (1 << 40, "TiB"),
        (1_000_000_000_000, "TB"),
        (1 << 30, "GiB"),
        (1_000_000_000, "GB"),
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1 << 10, "KiB"),
        (1_000, "KB"),
    ];
    UNITS
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// `1h30m`, without the spaces that a person would not write in YAML.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

// === impl Endpoint ===

impl Endpoint {
    /// The whole URL, with its query.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| "not a URL")?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("not an http or https URL");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // A URL with a host takes both; the configuration refuses user information, an imported one may have it.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_fragment(None);
        let query = shown.query().is_some();
        shown.set_query(None);
        write!(f, "{shown}{}", if query { "?***" } else { "" })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "http-url"})
    }
}

/// One serde adapter for each kind, for `#[serde(with = …)]`, and beside it the schema, for `#[schemars(with = …)]`.
macro_rules! text_adapter {
    ($(#[$doc:meta])* $module:ident, $value:ty, $schema:expr, $parse:expr, $show:expr) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            /// Its JSON Schema.
            #[derive(Debug)]
            pub struct Text;

            impl JsonSchema for Text {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($module).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    $schema
                }
            }

            /// Writes the text.
            pub fn serialize<S: Serializer>(value: &$value, serializer: S) -> Result<S::Ok, S::Error> {
                let show: fn(&$value) -> String = $show;
                serializer.serialize_str(&show(value))
            }

            /// Reads the text.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$value, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$value> = $parse;
                parse(&text).ok_or_else(|| serde::de::Error::custom(concat!("not a ", stringify!($module))))
            }
        }
    };
}

text_adapter!(
    /// A length of time.
    duration, Duration, json_schema!({"type": "string", "format": "duration-text"}), parse_duration,
    |value| duration_text(*value)
);
text_adapter!(
    /// A number of bytes.
    size, u64, json_schema!({"type": ["string", "integer"], "format": "byte-size"}), parse_size,
    |value| size_text(*value)
);
text_adapter!(
    /// An address to listen on.
    address, SocketAddr, json_schema!({"type": "string", "format": "socket-address"}), parse_address,
    ToString::to_string
);

/// A list of networks.
pub mod networks {
    use super::*;

    /// Its JSON Schema.
    #[derive(Debug)]
    pub struct Text;

    impl JsonSchema for Text {
        fn schema_name() -> Cow<'static, str> {
            "networks".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "array", "items": {"type": "string", "format": "ip-network"}})
        }
    }

    /// Writes the list.
    pub fn serialize<S: Serializer>(value: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value)
    }

    /// Reads the list.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parse = |text: &String| parse_network(text).ok_or_else(|| serde::de::Error::custom("not a network"));
        texts.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("15m", 900_000), ("1h30m", 5_400_000), ("250ms", 250), ("1h 30m", 5_400_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "m", "-1s", "1 fortnight"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(duration_text(Duration::from_secs(5400)), "1h30m");
    }

    #[test]
    fn sizes_read_back_as_they_are_shown() {
        for (text, bytes) in
            [("6MB", 6_000_000), ("6MiB", 6 << 20), ("65536", 65_536), ("4 MiB", 4 << 20), ("1k", 1000)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "6XB", "lots"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        for bytes in [0, 1, 999, 1000, 1024, 6_000_000, 4 << 20, u64::from(u32::MAX)] {
            assert_eq!(parse_size(&size_text(bytes)), Some(bytes), "{}", size_text(bytes));
        }
        assert_eq!(size_text(6_000_000), "6MB");
        assert_eq!(size_text(16 << 20), "16MiB");
    }

    #[test]
    fn networks_and_addresses() {
        assert_eq!(parse_network("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
        assert_eq!(parse_network("fd00::/8").unwrap().to_string(), "fd00::/8");
        assert!(parse_network("10.0.0.0/33").is_none());
        assert_eq!(parse_address("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        assert!(parse_address(":8080").is_none());
    }

    #[test]
    fn an_endpoint_does_not_show_its_query() {
        let endpoint: Endpoint = "https://u:p@host/mcp?key=abc#x".parse().unwrap();
        assert_eq!(format!("{endpoint:?}"), "https://host/mcp?***");
        assert_eq!(endpoint.url().query(), Some("key=abc"));
        assert!("ftp://host/".parse::<Endpoint>().is_err());
        assert!("/mcp".parse::<Endpoint>().is_err());
    }
}
