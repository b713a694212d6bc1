//! From the tree to a JSON value of the right types, led by the schema, with every mistake on the way.
//!
//! YAML's types are those of the key: a plain `8080` is text where text is asked for, and a quoted reference that
//! expands to `8080` is a number where a number is asked for.

use serde_json::{Map, Number, Value};

use super::error::{ConfigError, KeyPath, Position};
use super::expand::{ExpandError, Lookup, expand, has_reference};
use super::schema::{choices, is_type, resolve, tagged};
use super::tree::{Entry, Kind, Node, Scalar};
use super::units::Format;
use crate::similar::nearest;

/// Walks a tree along the schema. The value leaves out what is wrong (null in a list); the errors say what that was.
pub fn check(root: &Value, node: &Node, lookup: Lookup<'_>) -> (Value, Vec<ConfigError>) {
    let mut checker = Checker { root, lookup, errors: Vec::new() };
    let value = checker.node(root, node, &KeyPath::default()).unwrap_or(Value::Null);
    (value, checker.errors)
}

struct Checker<'a> {
    root: &'a Value,
    lookup: Lookup<'a>,
    errors: Vec<ConfigError>,
}

/// A scalar after expansion.
struct Text {
    text: String,
    /// May be taken for a number or a boolean.
    plain: bool,
    /// Came, at least partly, from the environment: its value must not be shown.
    expanded: bool,
}

// === impl Checker ===

impl<'a> Checker<'a> {
    fn error(&mut self, at: Position, key: &KeyPath, message: impl Into<String>) -> &mut ConfigError {
        self.errors.push(ConfigError::at(key.clone(), message).position(at));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    fn node(&mut self, schema: &'a Value, node: &Node, path: &KeyPath) -> Option<Value> {
        let schema = resolve(self.root, schema);
        if *schema == Value::Bool(true) {
            return Some(node.as_it_stands());
        }
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            return self.alternative(alternatives, node, path);
        }
        if let (Some(alternatives), Kind::Mapping(entries)) = (tagged(schema), &node.kind) {
            return self.tagged(&alternatives, node, entries, path);
        }
        match &node.kind {
            Kind::Mapping(entries) if is_type(schema, "object") => self.mapping(schema, node, entries, path),
            Kind::Sequence(items) if is_type(schema, "array") => {
                let each = schema.get("items").unwrap_or(&Value::Null);
                let check = |(at, item): (usize, &Node)| self.node(each, item, &path.index(at)).unwrap_or(Value::Null);
                Some(Value::Array(items.iter().enumerate().map(check).collect()))
            }
            Kind::Scalar(scalar)
                if !is_type(schema, "object") && !is_type(schema, "array") && tagged(schema).is_none() =>
            {
                self.scalar(schema, node, scalar, path)
            }
            _ => {
                let wanted = wanted(schema);
                let message = format!("expected {wanted}, found {}", self.shown(schema, node));
                self.error(node.position, path, message);
                None
            }
        }
    }

    /// What stands there, for a message, unless it is nobody's business.
    fn shown(&self, schema: &Value, node: &Node) -> String {
        let secret = schema.get("writeOnly") == Some(&Value::Bool(true));
        // Text in place of a mapping or a list may be a key that slipped a level up.
        let misplaced = is_type(schema, "object") || is_type(schema, "array");
        match &node.kind {
            Kind::Scalar(scalar) if (secret || misplaced) && !scalar.is_null() => "text".to_owned(),
            // The query of a URL may hold a key.
            Kind::Scalar(scalar) if scalar.text.contains('?') => {
                let shown = scalar.text.split('?').next().unwrap_or_default();
                format!("`{}?…`", shown.chars().take(60).collect::<String>())
            }
            _ => node.describe().into_owned(),
        }
    }

    fn mapping(&mut self, schema: &'a Value, node: &Node, entries: &[Entry], path: &KeyPath) -> Option<Value> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut out = Map::new();
        for entry in entries {
            let path = path.key(&entry.key);
            let Some(inner) = properties.and_then(|properties| properties.get(&entry.key)).or(others) else {
                self.unknown_key(properties, entry, &path);
                continue;
            };
            if entry.value.is_null() {
                // Whoever comments the last item out may mean none of them, where leaving the key out means any.
                if let Some(none) = none_of(inner) {
                    let remedy = format!("write `{none}` for none, or take the key out for the default");
                    self.error(entry.position, &path, "has no value").remedy = Some(remedy);
                }
                continue;
            }
            if let Some(value) = self.node(inner, &entry.value, &path) {
                out.insert(entry.key.clone(), value);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for key in required {
            let given = entries.iter().find(|entry| entry.key == key);
            let (at, message) = match given {
                None => (node.position, format!("the key `{key}` is missing")),
                Some(entry) if entry.value.is_null() => (entry.position, "has no value".to_owned()),
                Some(_) => continue,
            };
            let says = properties.and_then(|all| all.get(key)).and_then(|one| first_sentence(one.get("description")));
            let remedy = says.map_or_else(|| "give it one".to_owned(), |says| format!("it is: {says}"));
            self.error(at, &path.key(key), message).remedy = Some(remedy);
        }
        Some(Value::Object(out))
    }

    fn unknown_key(&mut self, properties: Option<&Map<String, Value>>, entry: &Entry, path: &KeyPath) {
        let known: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let remedy = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.error(entry.position, path, format!("unknown key `{}`", entry.key)).remedy = Some(remedy);
    }

    /// One of several mappings, told apart by the value of their key `type`.
    fn tagged(
        &mut self,
        alternatives: &[(&'a str, &'a Value)],
        node: &Node,
        entries: &[Entry],
        path: &KeyPath,
    ) -> Option<Value> {
        let known: Vec<Value> = alternatives.iter().map(|(tag, _)| Value::from(*tag)).collect();
        let Some(entry) = entries.iter().find(|entry| entry.key == "type" && !entry.value.is_null()) else {
            let names: Vec<&str> = alternatives.iter().map(|(tag, _)| *tag).collect();
            self.error(node.position, &path.key("type"), "the key `type` is missing").remedy =
                Some(format!("one of: {}", names.join(", ")));
            return None;
        };
        let path_of_type = path.key("type");
        let Kind::Scalar(scalar) = &entry.value.kind else {
            let message = format!("expected text, found {}", entry.value.describe());
            self.error(entry.value.position, &path_of_type, message);
            return None;
        };
        let text = self.expand(&entry.value, scalar, &path_of_type)?;
        let choices: Vec<(&Value, Option<&str>)> = known.iter().map(|value| (value, None)).collect();
        let tag = self.choice(&choices, &entry.value, text, &path_of_type)?;
        let (_, schema) = alternatives.iter().find(|(known, _)| tag == *known)?;
        self.mapping(schema, node, entries, path)
    }

    /// One of several mappings, told apart by the key that only it requires, or a fixed value.
    fn alternative(&mut self, alternatives: &'a [Value], node: &Node, path: &KeyPath) -> Option<Value> {
        let resolved: Vec<&Value> = alternatives.iter().map(|one| resolve(self.root, one)).collect();
        if let Kind::Mapping(entries) = &node.kind {
            let objects: Vec<&Value> = resolved.iter().copied().filter(|one| is_type(one, "object")).collect();
            if let [only] = objects[..] {
                return self.mapping(only, node, entries, path);
            }
            let marks: Vec<(&str, &Value)> =
                objects.iter().filter_map(|one| Some((one.get("required")?.get(0)?.as_str()?, *one))).collect();
            let given: Vec<_> =
                marks.iter().filter(|(mark, _)| entries.iter().any(|entry| entry.key == *mark)).collect();
            if let [(_, only)] = given[..] {
                return self.mapping(only, node, entries, path);
            }
            let names: Vec<String> = marks.iter().map(|(mark, _)| format!("`{mark}`")).collect();
            let (how, near) = if given.is_empty() { ("one of", true) } else { ("only one of", false) };
            let slip = entries.iter().find_map(|entry| {
                nearest(&entry.key, marks.iter().map(|(mark, _)| *mark)).filter(|_| near).map(|mark| (entry, mark))
            });
            let message = format!("needs {how} {}", names.join(" and "));
            let remedy = match slip {
                Some((entry, mark)) => format!("did you mean `{mark}` by `{}`?", entry.key),
                None => "`url` is for a server that is reached over HTTP, `command` for one that is started".to_owned(),
            };
            self.error(node.position, path, message).remedy = Some(remedy);
            return None;
        }
        if let Kind::Scalar(scalar) = &node.kind {
            let text = self.expand(node, scalar, path)?;
            let value = match text.text.as_str() {
                "false" if text.plain => Value::Bool(false),
                "true" if text.plain => Value::Bool(true),
                other => Value::String(other.to_owned()),
            };
            if resolved.iter().any(|one| one.get("const") == Some(&value)) {
                return Some(value);
            }
        }
        let mut wanted: Vec<String> = resolved.iter().map(|one| wanted(one)).collect();
        wanted.dedup();
        let words = resolved.iter().any(|one| one.get("const").is_some());
        let found = if words { node.describe() } else { self.shown(resolved[0], node).into() };
        self.error(node.position, path, format!("expected {}, found {found}", wanted.join(" or ")));
        None
    }

    fn expand(&mut self, node: &Node, scalar: &Scalar, path: &KeyPath) -> Option<Text> {
        if !has_reference(&scalar.text) {
            return Some(Text { text: scalar.text.clone(), plain: scalar.plain, expanded: false });
        }
        match expand(&scalar.text, self.lookup) {
            Ok(text) => {
                let expanded = scalar.text.contains("${");
                Some(Text { text, plain: scalar.plain || expanded, expanded })
            }
            Err(error) => {
                let remedy = match &error {
                    ExpandError::Missing(name) => format!("set it, or give a default: ${{{name}:-…}}"),
                    ExpandError::Malformed(_) => {
                        "write ${NAME} or ${NAME:-default}, and $$ for a dollar sign".to_owned()
                    }
                };
                self.error(node.position, path, error.to_string()).remedy = Some(remedy);
                None
            }
        }
    }

    fn scalar(&mut self, schema: &Value, node: &Node, scalar: &Scalar, path: &KeyPath) -> Option<Value> {
        let text = self.expand(node, scalar, path)?;
        if let Some(choices) = choices(schema) {
            return self.choice(&choices, node, text, path);
        }
        if is_type(schema, "string") {
            let format = schema.get("format").and_then(Value::as_str).and_then(Format::from_schema);
            if let Some(Err(remedy)) = format.map(|format| format.check(&text.text)) {
                let message = format!("{} is not {}", self.shown(schema, node), wanted(schema));
                self.error(node.position, path, message).remedy = Some(remedy.to_owned());
                return None;
            }
            return Some(Value::String(text.text));
        }
        if is_type(schema, "boolean") {
            if let (true, Ok(flag)) = (text.plain, text.text.parse::<bool>()) {
                return Some(Value::Bool(flag));
            }
            let remedy = match text.text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" if !text.expanded => "write true, without quotes",
                "no" | "off" | "false" if !text.expanded => "write false, without quotes",
                _ => "write true or false",
            };
            self.error(node.position, path, format!("expected true or false, found {}", node.describe())).remedy =
                Some(remedy.to_owned());
            return None;
        }
        if is_type(schema, "integer") {
            return self.integer(schema, node, &text, path);
        }
        Some(Value::String(text.text))
    }

    fn choice(&mut self, choices: &[(&Value, Option<&str>)], node: &Node, text: Text, path: &KeyPath) -> Option<Value> {
        let known: Vec<&str> = choices.iter().filter_map(|(value, _)| value.as_str()).collect();
        if known.contains(&text.text.as_str()) {
            return Some(Value::String(text.text));
        }
        let mut remedy = format!("one of: {}", known.join(", "));
        if let Some(near) = nearest(&text.text, known.iter().copied()).filter(|_| !text.expanded) {
            remedy = format!("did you mean `{near}`? {remedy}");
        }
        self.error(node.position, path, format!("{} is not known here", node.describe())).remedy = Some(remedy);
        None
    }

    fn integer(&mut self, schema: &Value, node: &Node, text: &Text, path: &KeyPath) -> Option<Value> {
        let min = schema.get("minimum").and_then(Value::as_u64).unwrap_or(0);
        let max = schema.get("maximum").and_then(Value::as_u64).unwrap_or(u64::MAX);
        match text.text.parse::<u64>() {
            Ok(number) if text.plain && (min..=max).contains(&number) => Some(Value::Number(Number::from(number))),
            Ok(_) if !text.plain => {
                self.error(node.position, path, format!("expected a number, found text {}", node.describe())).remedy =
                    Some("take the quotes away".to_owned());
                None
            }
            _ => {
                let range = format!("a whole number from {min} to {max}");
                self.error(node.position, path, format!("expected {range}, found {}", node.describe()));
                None
            }
        }
    }
}

/// What a schema asks for, in words.
fn wanted(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    match schema.get("format").and_then(Value::as_str).and_then(Format::from_schema) {
        Some(Format::Duration) => "a duration",
        Some(Format::ByteSize) => "a size",
        Some(Format::Network) => "a network",
        Some(Format::Address) => "an address with a port",
        Some(Format::HttpUrl) => "an http or https URL",
        None if is_type(schema, "object") || tagged(schema).is_some() => "a mapping",
        None if is_type(schema, "array") => "a list",
        None if is_type(schema, "boolean") => "true or false",
        None if is_type(schema, "integer") => "a whole number",
        None if is_type(schema, "string") || choices(schema).is_some() => "text",
        None => "something else",
    }
    .to_owned()
}

/// How a list or a mapping of a schema is written that has nothing in it.
fn none_of(schema: &Value) -> Option<&'static str> {
    let is = |kind: &str| match &schema["type"] {
        Value::String(only) => only == kind,
        Value::Array(several) => several.iter().any(|one| one == kind),
        _ => false,
    };
    match (is("array"), is("object") && schema.get("additionalProperties").is_some_and(Value::is_object)) {
        (true, _) => Some("[]"),
        (_, true) => Some("{}"),
        _ => None,
    }
}

/// The beginning of a description, in one line.
fn first_sentence(description: Option<&Value>) -> Option<String> {
    let text = description?.as_str()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find(". ").unwrap_or(text.len());
    Some(text[..end].trim_end_matches('.').to_owned())
}
