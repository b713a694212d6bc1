//! A YAML document as a tree that remembers where everything stands.
//!
//! Aliases (`*name`) and merge keys (`<<`) are resolved here. The size of the result is bounded, so that a few nested
//! aliases cannot fill the memory.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle};

use super::error::{ConfigError, KeyPath, Position, Step};

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file.
    Mapping(Vec<Entry>),
}

/// A single value as written; what type it has depends on what is asked for.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text, quotes removed.
    pub text: String,
    /// Whether it stood without quotes, so that it may be a number, a boolean or null.
    pub plain: bool,
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// Its value.
    pub value: Node,
}

/// Nodes of a document, aliases counted each time.
const MAX_NODES: usize = 200_000;
/// Levels of nesting. Nothing needs ten, but the schema of a declared tool.
const MAX_DEPTH: usize = 64;

/// Reads one YAML document. The error is the first problem: after it, the structure is unknown.
pub fn parse(text: &str) -> Result<Node, ConfigError> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut root = None;
    while let Some((event, at)) = builder.next(text)? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if root.is_some() => {
                return Err(ConfigError::general("a second document starts here")
                    .position(at)
                    .remedy("keep one document, without `---`"));
            }
            event => root = Some(builder.node(text, event, at, 0)?),
        }
    }
    root.ok_or_else(|| {
        ConfigError::general("is empty").remedy("see docs/configuration.md, or run `sessiongate schema`")
    })
}

struct Builder<'a> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn next(&mut self, text: &str) -> Result<Option<(Event<'a>, Position)>, ConfigError> {
        loop {
            return match self.parser.next_event() {
                None => Ok(None),
                #[allow(unreachable_patterns, reason = "comments are events only with a feature of another crate")]
                Some(Ok((event, span))) => match event {
                    Event::Scalar(..)
                    | Event::Alias(_)
                    | Event::SequenceStart(..)
                    | Event::SequenceEnd
                    | Event::MappingStart(..)
                    | Event::MappingEnd
                    | Event::StreamStart
                    | Event::StreamEnd
                    | Event::DocumentStart(..)
                    | Event::DocumentEnd => Ok(Some((event, position(span.start)))),
                    _ => continue,
                },
                Some(Err(error)) => Err(syntax_error(text, position(*error.marker()), &error.info())),
            };
        }
    }

    fn must_next(&mut self, text: &str) -> Result<(Event<'a>, Position), ConfigError> {
        self.next(text)?.ok_or_else(|| ConfigError::general("ends in the middle of a value"))
    }

    fn node(&mut self, text: &str, event: Event<'a>, at: Position, depth: usize) -> Result<Node, ConfigError> {
        self.count(1, at)?;
        if depth > MAX_DEPTH {
            return Err(ConfigError::general(format!("is nested over {MAX_DEPTH} levels")).position(at));
        }
        let (anchor, kind) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                let forced = tag.as_deref().and_then(|tag| tag.core_suffix()) == Some("str");
                let plain = style == ScalarStyle::Plain && !forced;
                (anchor, Kind::Scalar(Scalar { text: value.into_owned(), plain }))
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.must_next(text)? {
                        (Event::SequenceEnd, _) => break,
                        (event, at) => items.push(self.node(text, event, at, depth + 1)?),
                    }
                }
                (anchor, Kind::Sequence(items))
            }
            Event::MappingStart(_, anchor, _) => (anchor, Kind::Mapping(self.mapping(text, depth)?)),
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id).cloned() else {
                    return Err(ConfigError::general("refers to itself").position(at).remedy("write the value out"));
                };
                self.count(target.size(), at)?;
                return Ok(target);
            }
            _ => return Err(ConfigError::general("a value is missing").position(at)),
        };
        let node = Node { position: at, kind };
        if anchor != 0 {
            self.count(node.size(), at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, text: &str, depth: usize) -> Result<Vec<Entry>, ConfigError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        loop {
            let (event, at) = self.must_next(text)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(text, event, at, depth + 1)?;
            let Kind::Scalar(Scalar { text: key, plain }) = key.kind else {
                return Err(ConfigError::general("a key must be text")
                    .position(at)
                    .remedy("quote a value that starts with `{`, `[`, `*` or `&`"));
            };
            let (event, value_at) = self.must_next(text)?;
            let value = self.node(text, event, value_at, depth + 1)?;
            if plain && key == "<<" {
                merged.extend(merge_sources(value)?);
            } else if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("the key `{key}` was already given on line {}", first.position.line);
                return Err(ConfigError::general(message).position(at).remedy("keep one of them"));
            } else {
                entries.push(Entry { key, position: at, value });
            }
        }
        // What the mapping says itself wins over what it merges, and the first source over the next.
        for entry in merged {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), ConfigError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(ConfigError::general(format!("has over {MAX_NODES} values"))
                .position(at)
                .remedy("use fewer aliases"));
        }
        Ok(())
    }
}

// === impl Node ===

impl Node {
    /// Where the value at `path` stands, or the nearest thing around it that exists.
    #[must_use]
    pub fn locate(&self, path: &KeyPath) -> Position {
        let mut node = self;
        let mut place = self.position;
        for step in path.steps() {
            let next = match (step, &node.kind) {
                (Step::Key(key), Kind::Mapping(entries)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| (entry.value.position, &entry.value))
                }
                (Step::Index(index), Kind::Sequence(items)) => items.get(*index).map(|item| (item.position, item)),
                _ => None,
            };
            let Some((position, inner)) = next else { break };
            (place, node) = (position, inner);
        }
        place
    }

    /// What it is, for a message.
    #[must_use]
    pub fn describe(&self) -> Cow<'static, str> {
        match &self.kind {
            Kind::Sequence(_) => "a list".into(),
            Kind::Mapping(_) => "a mapping".into(),
            Kind::Scalar(scalar) if scalar.is_null() => "nothing".into(),
            Kind::Scalar(scalar) => format!("`{}`", scalar.text.chars().take(60).collect::<String>()).into(),
        }
    }

    /// Whether nothing stands there: `key:` without a value, `~`, `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    /// As JSON, by the core schema of YAML 1.2, for what no schema leads: references to variables are text like any other.
    #[must_use]
    pub fn as_it_stands(&self) -> Value {
        match &self.kind {
            Kind::Sequence(items) => Value::Array(items.iter().map(Self::as_it_stands).collect()),
            Kind::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.as_it_stands())).collect()
            }
            Kind::Scalar(scalar) if scalar.is_null() => Value::Null,
            Kind::Scalar(Scalar { text, plain }) => match text.as_str() {
                "true" | "True" | "TRUE" if *plain => Value::Bool(true),
                "false" | "False" | "FALSE" if *plain => Value::Bool(false),
                number if *plain => match serde_json::from_str(number) {
                    Ok(Value::Number(number)) => Value::Number(number),
                    _ => Value::String(number.to_owned()),
                },
                text => Value::String(text.to_owned()),
            },
        }
    }

    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::Sequence(items) => items.iter().map(Node::size).sum(),
            Kind::Mapping(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }
}

// === impl Scalar ===

impl Scalar {
    /// Null by the core schema of YAML 1.2.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

fn merge_sources(value: Node) -> Result<Vec<Entry>, ConfigError> {
    let at = value.position;
    match value.kind {
        Kind::Mapping(entries) => Ok(entries),
        Kind::Sequence(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(merge_sources(item)?);
            }
            Ok(all)
        }
        Kind::Scalar(_) => Err(ConfigError::general("`<<` merges mappings only").position(at)),
    }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

/// The parser's words, and what is behind them most often.
fn syntax_error(text: &str, at: Position, info: &str) -> ConfigError {
    let error = ConfigError::general(format!("not valid YAML: {info}")).position(at);
    let line = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
    if line.contains('\t') && line.trim_start_matches(' ').starts_with('\t') {
        error.remedy("indent with spaces, not with tabs")
    } else if line.contains("${") && line.contains(['{', '[', ',']) {
        error.remedy("put a reference inside {…} or […] into quotes: \"${NAME}\"")
    } else {
        error.remedy("check the indentation and the quotes of this line and the one before it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_schema_leads_keeps_its_types() {
        let text = "{a: [1, -2.5, 1e3, '1', yes, true, 'true', ~, 0x10, ''], \"$ref\": \"#/$defs/${X}\", d: {}}";
        let expected = serde_json::json!({
            "a": [1, -2.5, 1e3, "1", "yes", true, "true", null, "0x10", ""], "$ref": "#/$defs/${X}", "d": {}
        });
        assert_eq!(parse(text).unwrap().as_it_stands(), expected);
    }
}
