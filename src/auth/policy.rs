//! Resource policies: who may use a resource, in the language of IAM policies, as far as it makes sense here.
//!
//! What a policy says in a form that is not understood is refused when it is put: a condition that was skipped would
//! allow more than was meant.

mod principal;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};
use wildmatch::WildMatch;

pub use principal::account;
use principal::{WrittenPrincipal, is_principal, role_of};

use crate::control::model::json;

/// The longest policy, in statements.
const MAX_STATEMENTS: usize = 100;

/// Why a text is no policy. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No JSON, or not in the form of a policy.
    #[error("is no IAM policy: {0}")]
    Form(String),
    /// Something that is part of the language and not offered.
    #[error("has {0}, which is not offered")]
    NotOffered(String),
}

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement forbids it.
    Denied,
    /// A statement allows it, and none forbids it.
    Allowed,
    /// No statement is about it.
    Silent,
}

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// ARN of the principal; none for one that has none (a token, an API key, nobody).
    pub principal: Option<&'a str>,
    /// Such as `bedrock-agentcore:InvokeGateway`.
    pub action: &'a str,
    /// ARN of the resource.
    pub resource: &'a str,
    /// Where the request came from.
    pub source: Option<IpAddr>,
}

/// A policy that was understood.
#[derive(Clone, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    principals: Matches,
    actions: Matches,
    resources: Matches,
    conditions: Vec<Condition>,
}

/// Patterns, and whether they are what is meant or what is not.
#[derive(Clone, Debug)]
struct Matches {
    patterns: Vec<String>,
    negated: bool,
}

#[derive(Clone, Debug)]
struct Condition {
    key: Key,
    test: Test,
    negated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    PrincipalArn,
    PrincipalAccount,
    SourceIp,
}

#[derive(Clone, Debug)]
enum Test {
    Is(Vec<String>),
    Like(Vec<String>),
    Within(Vec<IpNet>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    version: Option<String>,
    #[serde(default, rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<WrittenStatement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WrittenStatement {
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    #[serde(default)]
    principal: Option<WrittenPrincipal>,
    #[serde(default)]
    not_principal: Option<WrittenPrincipal>,
    #[serde(default)]
    action: Option<OneOrMany<String>>,
    #[serde(default)]
    not_action: Option<OneOrMany<String>>,
    #[serde(default)]
    resource: Option<OneOrMany<String>>,
    #[serde(default)]
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

// === impl Policy ===

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Where it is none, or has something that is not offered.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let form = |error: serde_json::Error| PolicyError::Form(error.to_string());
        // A member that comes twice, such as `aws:SourceIp` in a condition, would count once.
        let value = json::parse(text.as_bytes()).map_err(form)?;
        let written: Written = serde_json::from_value(value).map_err(form)?;
        if !matches!(written.version.as_deref(), None | Some("2012-10-17" | "2008-10-17")) {
            return Err(PolicyError::Form("its `Version` is neither 2012-10-17 nor 2008-10-17".into()));
        }
        let statements = written.statement.all();
        if statements.is_empty() || statements.len() > MAX_STATEMENTS {
            return Err(PolicyError::Form(format!(
                "it has {} statements, and 1 to {MAX_STATEMENTS} are allowed",
                statements.len()
            )));
        }
        let statements = statements.into_iter().map(Statement::of).collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// What it says of a request: a statement that forbids wins.
    pub fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let about = self.statements.iter().filter(|statement| statement.is_about(asked));
        let (mut allowed, mut denied) = (false, false);
        for statement in about {
            match statement.allows {
                true => allowed = true,
                false => denied = true,
            }
        }
        match (denied, allowed) {
            (true, _) => Verdict::Denied,
            (_, true) => Verdict::Allowed,
            _ => Verdict::Silent,
        }
    }
}

// === impl Statement ===

impl Statement {
    fn of(written: WrittenStatement) -> Result<Self, PolicyError> {
        let principals = match (written.principal, written.not_principal) {
            (Some(principal), None) => Matches { patterns: principal.arns()?, negated: false },
            (None, Some(principal)) => Matches { patterns: principal.arns()?, negated: true },
            _ => return Err(PolicyError::Form("a statement needs `Principal` or `NotPrincipal`, and not both".into())),
        };
        let conditions = written.condition.into_iter().map(conditions).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            allows: written.effect == Effect::Allow,
            principals,
            actions: Matches::of(written.action, written.not_action, "Action")?,
            resources: Matches::of(written.resource, written.not_resource, "Resource")?,
            conditions: conditions.into_iter().flatten().collect(),
        })
    }

    fn is_about(&self, asked: &Asked<'_>) -> bool {
        let principal = asked.principal.unwrap_or_default();
        let named = self.principals.patterns.iter().any(|pattern| is_principal(pattern, principal));
        named != self.principals.negated
            && self.actions.meets(&asked.action.to_ascii_lowercase(), true)
            && self.resources.meets(asked.resource, false)
            && self.conditions.iter().all(|condition| condition.holds(asked))
    }
}

// === impl Matches ===

impl Matches {
    fn of(are: Option<OneOrMany<String>>, are_not: Option<OneOrMany<String>>, name: &str) -> Result<Self, PolicyError> {
        let (patterns, negated) = match (are, are_not) {
            (Some(are), None) => (are.all(), false),
            (None, Some(are_not)) => (are_not.all(), true),
            _ => return Err(PolicyError::Form(format!("a statement needs `{name}` or `Not{name}`, and not both"))),
        };
        if patterns.is_empty() || patterns.iter().any(String::is_empty) {
            let not = if negated { "Not" } else { "" };
            return Err(PolicyError::Form(format!("`{not}{name}` is empty or has an empty entry")));
        }
        Ok(Self { patterns, negated })
    }

    fn meets(&self, text: &str, any_case: bool) -> bool {
        let meets = |pattern: &String| match any_case {
            true => WildMatch::new(&pattern.to_ascii_lowercase()).matches(text),
            false => WildMatch::new(pattern).matches(text),
        };
        self.patterns.iter().any(meets) != self.negated
    }
}

// === impl Condition ===

impl Condition {
    fn holds(&self, asked: &Asked<'_>) -> bool {
        // A session of a role is known by its own ARN and by its role's.
        let role = asked.principal.filter(|_| self.key == Key::PrincipalArn).and_then(role_of);
        let value = match self.key {
            Key::PrincipalArn => asked.principal,
            Key::PrincipalAccount => asked.principal.and_then(account),
            Key::SourceIp => None,
        };
        let any = |meets: &dyn Fn(&str) -> bool| value.into_iter().chain(role.as_deref()).any(meets);
        let holds = match &self.test {
            Test::Within(nets) => {
                asked.source.is_some_and(|source| nets.iter().any(|net| net.contains(&source.to_canonical())))
            }
            Test::Is(texts) => any(&|value| texts.iter().any(|text| text == value)),
            Test::Like(patterns) => any(&|value| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(value))),
        };
        holds != self.negated
    }
}

// === impl OneOrMany ===

impl<T> OneOrMany<T> {
    fn all(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

fn conditions((operator, keys): (String, Value)) -> Result<Vec<Condition>, PolicyError> {
    let Value::Object(keys) = keys else {
        return Err(PolicyError::Form(format!("`Condition.{operator}` is no mapping")));
    };
    let made = keys.into_iter().map(|(name, value)| condition(&operator, &name, &value));
    made.collect()
}

fn condition(operator: &str, name: &str, value: &Value) -> Result<Condition, PolicyError> {
    let values = strings(value, name)?;
    let key = match name.to_ascii_lowercase().as_str() {
        "aws:principalarn" => Key::PrincipalArn,
        "aws:principalaccount" => Key::PrincipalAccount,
        "aws:sourceip" => Key::SourceIp,
        _ => return Err(PolicyError::NotOffered(format!("a condition on `{name}`"))),
    };
    let not_offered = || PolicyError::NotOffered(format!("the condition `{operator}` on `{name}`"));
    let (test, negated) = match operator {
        "StringEquals" | "ArnEquals" if key != Key::SourceIp => (Test::Is(values), false),
        "StringNotEquals" | "ArnNotEquals" if key != Key::SourceIp => (Test::Is(values), true),
        "StringLike" | "ArnLike" if key != Key::SourceIp => (Test::Like(values), false),
        "StringNotLike" | "ArnNotLike" if key != Key::SourceIp => (Test::Like(values), true),
        "IpAddress" if key == Key::SourceIp => (Test::Within(nets(&values)?), false),
        "NotIpAddress" if key == Key::SourceIp => (Test::Within(nets(&values)?), true),
        _ => return Err(not_offered()),
    };
    Ok(Condition { key, test, negated })
}

fn nets(values: &[String]) -> Result<Vec<IpNet>, PolicyError> {
    let net = |text: &String| {
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        parsed.map_err(|_| PolicyError::Form(format!("`{text}` is neither an address nor a network")))
    };
    values.iter().map(net).collect()
}

fn strings(value: &Value, name: &str) -> Result<Vec<String>, PolicyError> {
    let texts: Option<Vec<String>> = match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(many) => many.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    match texts {
        Some(texts) if texts.is_empty() => Err(PolicyError::Form(format!("`{name}` is an empty list"))),
        Some(texts) => Ok(texts),
        None => Err(PolicyError::Form(format!("`{name}` is neither a string nor a list of strings"))),
    }
}
