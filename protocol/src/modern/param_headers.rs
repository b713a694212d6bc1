//! The arguments of a tool that travel in headers too, as its `inputSchema` says with `x-mcp-header` (2026-07-28,
//! transports, "custom headers from tool parameters"; mcp-protocol 3.3 and 4.2).

mod number;
mod schema;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::cheap::{may_have, said};
use super::headers::{self, PARAM_PREFIX};
use crate::json::RawJson;
use crate::members::Members;
use crate::text::short;

/// The keyword of the schema.
pub const ANNOTATION: &str = "x-mcp-header";
/// As people know the prefix, for texts.
const SHOWN_PREFIX: &str = "Mcp-Param-";

/// Which arguments of one tool travel as which headers. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeaders(Box<[Param]>);

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Param {
    /// The names that lead to it, from `arguments` on.
    path: Box<[Box<str>]>,
    /// As the tool wrote it, without prefix.
    name: Box<str>,
    /// The header's whole name in lower case.
    header: Box<str>,
}

/// Why a tool cannot be called: a client must leave it out, a server must not show it like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// Something is named twice, or nests too deep.
    #[error("the schema at `{0}` has `x-mcp-header` in it but names a member twice or nests too deep")]
    Unreadable(String),
    /// No string, empty, too long, or with characters that a header's name cannot have.
    #[error(
        "`x-mcp-header` of argument `{0}` is not the name of a header: 1 to 128 letters, digits or !#$%&'*+-.^_`|~"
    )]
    Name(String),
    /// Another argument has that header, in this or another spelling.
    #[error("`Mcp-Param-{header}` of argument `{argument}` belongs to another argument already")]
    Duplicate {
        /// Without prefix.
        header: String,
        /// Names from `arguments` on, joined by dots.
        argument: String,
    },
    /// The argument is neither string nor integer nor boolean.
    #[error(
        "argument `{argument}` cannot be `Mcp-Param-{header}`: its `type` must be `string`, `integer` or `boolean`"
    )]
    Type {
        /// Without prefix.
        header: String,
        /// Names from `arguments` on, joined by dots.
        argument: String,
    },
    /// In a branch, an item, a definition: not every call has exactly one such argument.
    #[error("`x-mcp-header` at `{0}` of the schema: only `properties` may lead to it")]
    Place(String),
    /// More than a request has room for.
    #[error("more than {0} arguments have `x-mcp-header`")]
    TooMany(usize),
}

/// Why a call is refused with -32020. The texts are for the client and have no values in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamMismatch {
    /// The body has the argument, and there is no header.
    #[error("`{header}` is missing: it repeats argument `{argument}`")]
    Missing {
        /// Its whole name.
        header: String,
        /// Names from `arguments` on, joined by dots.
        argument: String,
    },
    /// They say different things.
    #[error("`{header}` is not argument `{argument}` of the body")]
    Different {
        /// Its whole name.
        header: String,
        /// Names from `arguments` on, joined by dots.
        argument: String,
    },
    /// The header is marked as encoded and is not.
    #[error("`{header}`, which repeats argument `{argument}`, is marked as base64 but is not base64 of UTF-8")]
    BadEncoding {
        /// Its whole name.
        header: String,
        /// Names from `arguments` on, joined by dots.
        argument: String,
    },
    /// The arguments name something twice, so that nobody knows which one the header repeats.
    #[error("`{header}` cannot be compared with argument `{argument}`: the body has a member twice")]
    Unreadable {
        /// Its whole name.
        header: String,
        /// Names from `arguments` on, joined by dots.
        argument: String,
    },
}

/// An argument as a header sees it.
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
    Bool(&'static str),
    /// What no header can say; the tool's schema does not allow it either.
    Other,
}

/// An object names something twice.
struct Twice;

// === impl ParamHeaders ===

impl ParamHeaders {
    /// Reads a tool as it stands in a `tools/list` result. None where no argument travels as a header, which costs a
    /// look at the bytes.
    ///
    /// # Errors
    /// Where an annotation breaks the rules.
    pub fn of_tool(tool: &RawJson) -> Result<Option<Self>, InvalidAnnotation> {
        if !may_have(tool, ANNOTATION) {
            return Ok(None);
        }
        let members = Members::of(tool).map_err(|_| InvalidAnnotation::Unreadable(String::new()))?;
        members.get("inputSchema").map_or(Ok(None), Self::of_schema)
    }

    /// Reads an `inputSchema`.
    ///
    /// # Errors
    /// As [`ParamHeaders::of_tool`].
    pub fn of_schema(input_schema: &RawValue) -> Result<Option<Self>, InvalidAnnotation> {
        let params = schema::params(input_schema)?;
        Ok((!params.is_empty()).then(|| Self(params.into())))
    }

    /// The headers of a call: names without prefix as the tool wrote them, values encoded. Arguments that are absent
    /// or null have none.
    pub fn derive(&self, arguments: Option<&RawJson>) -> Vec<(Box<str>, Box<str>)> {
        let Some(Ok(arguments)) = arguments.map(Members::of) else { return Vec::new() };
        let one = |param: &Param| {
            let text = Value::of(param.find(&arguments).ok()??).into_text()?;
            Some((param.name.clone(), headers::encode(&text).into()))
        };
        self.0.iter().filter_map(one).collect()
    }

    /// The whole names of the headers, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|param| &*param.header)
    }

    /// The headers of a call against its arguments. `header` is asked for whole names in lower case; whoever answers
    /// refuses a header that came twice.
    ///
    /// # Errors
    /// The first argument whose header is missing or says something else, or is there without the argument.
    pub fn check(
        &self,
        arguments: Option<&RawJson>,
        header: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ParamMismatch> {
        let Some(arguments) = arguments else { return Ok(()) };
        let members = match Members::of(arguments) {
            Ok(members) => members,
            Err(_) if arguments.as_str().trim_start().starts_with('{') => {
                return self.0.first().map_or(Ok(()), |param| Err(param.unreadable()));
            }
            // No object: the method itself refuses that.
            Err(_) => return Ok(()),
        };
        self.0.iter().try_for_each(|param| match param.find(&members) {
            Err(Twice) => Err(param.unreadable()),
            // A proxy would go by an argument that is not there.
            Ok(None) if header(&param.header).is_some() => Err(param.different()),
            Ok(None) => Ok(()),
            Ok(Some(raw)) => param.check(&Value::of(raw), header(&param.header)),
        })
    }
}

/// A tool without annotations, for who is called without headers or must not see wrong ones. A schema that cannot be
/// read keeps them: [`ParamHeaders::of_tool`] tells.
pub fn strip(tool: &RawJson) -> RawJson {
    if !may_have(tool, ANNOTATION) {
        return tool.clone();
    }
    let Ok(members) = Members::of(tool) else { return tool.clone() };
    let stripped = members.get("inputSchema").and_then(|input| schema::strip(input.get()));
    stripped.map_or_else(|| tool.clone(), |schema| members.with(&[("inputSchema", Some(&schema))]))
}

// === impl Param ===

impl Param {
    fn find<'a>(&self, arguments: &Members<'a>) -> Result<Option<&'a RawValue>, Twice> {
        let Some((first, rest)) = self.path.split_first() else { return Ok(None) };
        let mut found = said(arguments.get(first));
        for name in rest {
            let Some(raw) = found else { return Ok(None) };
            if !raw.get().starts_with('{') {
                return Ok(None);
            }
            found = said(Members::of_str(raw.get()).map_err(|_| Twice)?.get(name));
        }
        Ok(found)
    }

    fn check(&self, value: &Value<'_>, header: Option<String>) -> Result<(), ParamMismatch> {
        let Some(header) = header else {
            return match value {
                Value::Other => Ok(()),
                _ => Err(ParamMismatch::Missing { header: self.shown(), argument: path(&self.path) }),
            };
        };
        let said = headers::decode(&header)
            .map_err(|_| ParamMismatch::BadEncoding { header: self.shown(), argument: path(&self.path) })?;
        let same = match value {
            Value::Text(text) => *text == said,
            Value::Number(number) => number::same(number, &said),
            Value::Bool(text) => *text == said,
            Value::Other => false,
        };
        if same { Ok(()) } else { Err(self.different()) }
    }

    fn different(&self) -> ParamMismatch {
        ParamMismatch::Different { header: self.shown(), argument: path(&self.path) }
    }

    fn unreadable(&self) -> ParamMismatch {
        ParamMismatch::Unreadable { header: self.shown(), argument: path(&self.path) }
    }

    fn shown(&self) -> String {
        format!("{SHOWN_PREFIX}{}", self.name)
    }
}

/// A path for people, cut and without control characters.
fn path(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    short(&names.join(".")).escape_debug().to_string()
}

// === impl Value ===

impl<'a> Value<'a> {
    fn of(raw: &'a RawValue) -> Self {
        match raw.get().as_bytes() {
            b"true" => Self::Bool("true"),
            b"false" => Self::Bool("false"),
            // Half of a surrogate pair is a JSON string, but no text.
            [b'"', ..] => serde_json::from_str::<String>(raw.get()).map_or(Self::Other, |text| Self::Text(text.into())),
            [b'-' | b'0'..=b'9', ..] => Self::Number(raw.get()),
            _ => Self::Other,
        }
    }

    fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number::decimal(number)),
            Self::Bool(text) => Some(text.into()),
            Self::Other => None,
        }
    }
}
