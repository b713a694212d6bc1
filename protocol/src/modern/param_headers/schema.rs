//! Walking a schema for `x-mcp-header`.

use serde_json::value::RawValue;

use super::{ANNOTATION, InvalidAnnotation, PARAM_PREFIX, Param, path};
use crate::json::MAX_DEPTH;
use crate::members::Members;
use crate::modern::cheap::may_have_in;

/// Headers of one request; HTTP servers take about a hundred.
const MAX_PARAMS: usize = 64;
/// Longest name of a header, without prefix.
const MAX_NAME: usize = 128;

/// What the value of a keyword is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Any JSON that is no schema.
    Data,
    /// The schemas of arguments, by name.
    Properties,
    /// Schemas by names that are no keywords.
    Named,
    /// A schema or a list of them. Unknown keywords too: a `$ref` can lead into them.
    Schemas,
}

struct Walk<'a> {
    /// Keywords and names down to here, for texts.
    at: Vec<String>,
    /// Arguments down to here; none once another keyword than `properties` was passed.
    arguments: Option<Vec<Box<str>>>,
    found: &'a mut Vec<Param>,
}

/// The arguments with annotations.
pub(super) fn params(input_schema: &RawValue) -> Result<Vec<Param>, InvalidAnnotation> {
    let mut found = Vec::new();
    Walk { at: Vec::new(), arguments: Some(Vec::new()), found: &mut found }.schema(input_schema.get())?;
    Ok(found)
}

fn holds(keyword: &str, value: &str) -> Holds {
    match keyword {
        "const" | "enum" | "default" | "examples" | "example" => Holds::Data,
        "properties" if value.starts_with('{') => Holds::Properties,
        "$defs" | "definitions" | "patternProperties" | "dependentSchemas" | "dependencies"
            if value.starts_with('{') =>
        {
            Holds::Named
        }
        _ => Holds::Schemas,
    }
}

fn may_be_annotated(text: &str) -> bool {
    may_have_in(text.as_bytes(), ANNOTATION)
}

// === impl Walk ===

impl Walk<'_> {
    /// Whatever stands where a schema can stand.
    fn schema(&mut self, text: &str) -> Result<(), InvalidAnnotation> {
        // Parts without annotations are most of a schema.
        if !may_be_annotated(text) {
            return Ok(());
        }
        if self.at.len() > MAX_DEPTH {
            return Err(self.unreadable());
        }
        if text.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| self.unreadable())?;
            return items
                .into_iter()
                .enumerate()
                .try_for_each(|(index, item)| self.below(&index.to_string(), None, |walk| walk.schema(item.get())));
        }
        if !text.starts_with('{') {
            return Ok(());
        }
        let members = Members::of_str(text).map_err(|_| self.unreadable())?;
        if let Some(annotation) = members.get(ANNOTATION) {
            self.annotation(annotation, &members)?;
        }
        for (keyword, value) in members.iter().filter(|(keyword, _)| *keyword != ANNOTATION) {
            let value = value.get();
            match holds(keyword, value) {
                Holds::Data => {}
                Holds::Schemas => self.below(keyword, None, |walk| walk.schema(value))?,
                Holds::Named => self.below(keyword, None, |walk| walk.named(value, false))?,
                Holds::Properties => {
                    let arguments = self.arguments.clone();
                    self.below(keyword, arguments, |walk| walk.named(value, true))?;
                }
            }
        }
        Ok(())
    }

    fn named(&mut self, text: &str, arguments: bool) -> Result<(), InvalidAnnotation> {
        if !may_be_annotated(text) {
            return Ok(());
        }
        let members = Members::of_str(text).map_err(|_| self.unreadable())?;
        members.iter().try_for_each(|(name, value)| {
            let mut down = self.arguments.clone().filter(|_| arguments);
            if let Some(down) = &mut down {
                down.push(name.into());
            }
            self.below(name, down, |walk| walk.schema(value.get()))
        })
    }

    fn below(
        &mut self,
        name: &str,
        arguments: Option<Vec<Box<str>>>,
        visit: impl FnOnce(&mut Walk<'_>) -> Result<(), InvalidAnnotation>,
    ) -> Result<(), InvalidAnnotation> {
        let before = std::mem::replace(&mut self.arguments, arguments);
        self.at.push(name.to_owned());
        let outcome = visit(self);
        self.at.pop();
        self.arguments = before;
        outcome
    }

    fn annotation(&mut self, annotation: &RawValue, schema: &Members<'_>) -> Result<(), InvalidAnnotation> {
        let Some(arguments) = self.arguments.as_ref().filter(|arguments| !arguments.is_empty()) else {
            return Err(InvalidAnnotation::Place(path(&self.at)));
        };
        let argument = path(arguments);
        let name = match serde_json::from_str::<String>(annotation.get()) {
            Ok(name) if is_token(&name) => name,
            _ => return Err(InvalidAnnotation::Name(argument)),
        };
        if !matches!(schema.get_str("type").as_deref(), Some("string" | "integer" | "boolean")) {
            return Err(InvalidAnnotation::Type { header: name, argument });
        }
        let header = format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase()).into_boxed_str();
        if self.found.iter().any(|other| other.header == header) {
            return Err(InvalidAnnotation::Duplicate { header: name, argument });
        }
        if self.found.len() == MAX_PARAMS {
            return Err(InvalidAnnotation::TooMany(MAX_PARAMS));
        }
        self.found.push(Param { path: arguments.clone().into(), name: name.into(), header });
        Ok(())
    }

    fn unreadable(&self) -> InvalidAnnotation {
        InvalidAnnotation::Unreadable(path(&self.at))
    }
}

/// What the name of a header is made of (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(tchar)
}

// === taking away ===

/// The schema without annotations, right or wrong ones; none where there are none.
pub(super) fn strip(schema: &str) -> Option<String> {
    strip_schema(schema, 0)
}

fn strip_schema(text: &str, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH || !may_be_annotated(text) {
        return None;
    }
    if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let stripped: Vec<Option<String>> = items.iter().map(|item| strip_schema(item.get(), depth + 1)).collect();
        stripped.iter().any(Option::is_some).then(|| {
            let items: Vec<&str> =
                items.iter().zip(&stripped).map(|(old, new)| new.as_deref().unwrap_or(old.get())).collect();
            format!("[{}]", items.join(","))
        })
    } else {
        strip_members(text, depth, |keyword, value| match holds(keyword, value) {
            _ if keyword == ANNOTATION => Change::Drop,
            Holds::Data => Change::Keep,
            Holds::Schemas => Change::of(strip_schema(value, depth + 1)),
            Holds::Named | Holds::Properties => {
                Change::of(strip_members(value, depth + 1, |_, value| Change::of(strip_schema(value, depth + 2))))
            }
        })
    }
}

enum Change {
    Keep,
    Drop,
    Set(String),
}

impl Change {
    fn of(new: Option<String>) -> Self {
        new.map_or(Self::Keep, Self::Set)
    }
}

fn strip_members(text: &str, depth: usize, change: impl Fn(&str, &str) -> Change) -> Option<String> {
    if depth > MAX_DEPTH || !may_be_annotated(text) {
        return None;
    }
    let members = Members::of_str(text).ok()?;
    let changes: Vec<(&str, Option<String>)> = members
        .iter()
        .filter_map(|(name, value)| match change(name, value.get()) {
            Change::Keep => None,
            Change::Drop => Some((name, None)),
            Change::Set(new) => Some((name, Some(new))),
        })
        .collect();
    if changes.is_empty() {
        return None;
    }
    let changes: Vec<(&str, Option<&str>)> = changes.iter().map(|(name, new)| (*name, new.as_deref())).collect();
    Some(members.with(&changes).as_str().to_owned())
}
