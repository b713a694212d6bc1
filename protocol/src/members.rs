//! Rewriting single members of a JSON object while all others keep their bytes and their order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{RawJson, push_quoted, text_of};
use crate::text::short;

/// The members of an object in the order they came, values unparsed. Duplicate names are refused: whoever
/// reads the last and whoever reads the first would disagree about what was allowed.
#[derive(Debug)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

// === impl Members ===

impl<'a> Members<'a> {
    /// Reads an object.
    pub fn of(object: &'a RawJson) -> Result<Self, serde_json::Error> {
        Self::of_str(object.as_str())
    }

    /// Reads an object from JSON text.
    pub fn of_str(object: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(object)
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// The value of a member that is a string.
    pub fn get_str(&self, name: &str) -> Option<Cow<'a, str>> {
        text_of(self.get(name)?)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The object again, with `changes` applied: `Some(json)` sets a member (in its old place, or last),
    /// `None` drops it. The JSON of a change must be valid.
    pub fn with(&self, changes: &[(&str, Option<&str>)]) -> RawJson {
        let size: usize = self.0.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
        let added: usize = changes.iter().map(|(name, value)| name.len() + value.map_or(0, str::len) + 4).sum();
        let mut out = Vec::with_capacity(size + added + 2);
        out.push(b'{');
        let mut push = |name: &str, value: &str| {
            if out.len() > 1 {
                out.push(b',');
            }
            push_quoted(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        };
        for (name, value) in self.iter() {
            match changes.iter().find(|(changed, _)| *changed == name) {
                Some((_, Some(new))) => push(name, new),
                Some((_, None)) => {}
                None => push(name, value.get()),
            }
        }
        for (name, value) in changes {
            if let Some(value) = value
                && self.get(name).is_none()
            {
                push(name, value);
            }
        }
        out.push(b'}');
        RawJson::trusted(out)
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!("duplicate member `{}`", short(&name))));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}

/// A member name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Name<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_every_other_byte() {
        let text = r#"{"name":"a","n":1.00,"_meta":{"progressToken":1},"deep":[1 , 2]}"#;
        let raw = RawJson::parse(text).unwrap();
        let members = Members::of(&raw).unwrap();
        let out = members.with(&[("name", Some("\"b\"")), ("new", Some("true")), ("_meta", None)]);
        assert_eq!(out.as_str(), r#"{"name":"b","n":1.00,"deep":[1 , 2],"new":true}"#);
    }

    #[test]
    fn duplicates_are_refused_also_when_spelled_differently() {
        assert!(Members::of_str(r#"{"a":1,"a":2}"#).is_err());
        assert!(Members::of_str(r#"{"a":1,"\u0061":2}"#).is_err());
        let long = "a".repeat(1_000_000);
        let error = Members::of_str(&format!("{{\"{long}\":1,\"{long}\":2}}")).unwrap_err();
        assert!(error.to_string().len() < 200);
    }
}
