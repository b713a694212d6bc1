//! Resource policies: who may use a resource, in the language of IAM policies, as far as it makes sense here.
//!
//! What a policy says in a form that is not understood is refused when it is put: a condition that was skipped would
//! allow more than was meant.

mod principal;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};
use wildmatch::WildMatch;

pub use principal::account;
use principal::{is_principal, role_of};

use crate::control::model::json;

/// The longest policy, in statements.
const MAX_STATEMENTS: usize = 100;
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
/// Of a statement.
const MEMBERS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    allows: bool,
    principals: Matches,
    actions: Matches,
    resources: Matches,
    conditions: Vec<Condition>,
}

/// Patterns, and whether they are what is meant or what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Matches {
    patterns: Vec<String>,
    negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Is(Vec<String>),
    Like(Vec<String>),
    Within(Vec<IpNet>),
}

/// A mapping of a policy that is read member by member.
struct Written(Map<String, Value>);

// === impl Policy ===

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Where it is none, or has something that is not offered.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        // A member that comes twice, such as `aws:SourceIp` in a condition, would count once.
        let value = json::parse(text.as_bytes()).map_err(|error| PolicyError::Form(error.to_string()))?;
        let mut written = Written::of(value, "it", &["Version", "Id", "Statement"])?;
        written.pass_over("Id")?;
        match written.take("Version") {
            None => {}
            Some(Value::String(version)) if VERSIONS.contains(&&*version) => {}
            Some(_) => return Err(PolicyError::Form("its `Version` is neither 2012-10-17 nor 2008-10-17".into())),
        }
        let statements = match written.take("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(one @ Value::Object(_)) => vec![one],
            Some(_) => {
                return Err(PolicyError::Form("its `Statement` is neither a mapping nor a list of mappings".into()));
            }
            None => return Err(PolicyError::Form("it has no `Statement`".into())),
        };
        if statements.is_empty() || statements.len() > MAX_STATEMENTS {
            return Err(PolicyError::Form(format!(
                "it has {} statements, and 1 to {MAX_STATEMENTS} are allowed",
                statements.len()
            )));
        }
        let statements = statements.into_iter().enumerate();
        let statements = statements.map(|(at, value)| Statement::of(value).map_err(|error| error.in_statement(at + 1)));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
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
    fn of(value: Value) -> Result<Self, PolicyError> {
        let mut written = Written::of(value, "it", &MEMBERS)?;
        written.pass_over("Sid")?;
        let allows = match written.take("Effect") {
            Some(Value::String(word)) if word == "Allow" => true,
            Some(Value::String(word)) if word == "Deny" => false,
            _ => return Err(PolicyError::Form("its `Effect` is neither `Allow` nor `Deny`".into())),
        };
        let principals = match (written.take("Principal"), written.take("NotPrincipal")) {
            (Some(principal), None) => Matches { patterns: principal::arns(principal)?, negated: false },
            (None, Some(principal)) => Matches { patterns: principal::arns(principal)?, negated: true },
            _ => return Err(PolicyError::Form("it needs `Principal` or `NotPrincipal`, and not both".into())),
        };
        let conditions = match written.take("Condition") {
            None => Map::new(),
            Some(Value::Object(conditions)) => conditions,
            Some(_) => return Err(PolicyError::Form("its `Condition` is no mapping".into())),
        };
        let conditions = conditions.into_iter().map(conditions_of).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            allows,
            principals,
            actions: Matches::of(&mut written, "Action", "NotAction")?,
            resources: Matches::of(&mut written, "Resource", "NotResource")?,
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
    fn of(written: &mut Written, are: &'static str, are_not: &'static str) -> Result<Self, PolicyError> {
        let (name, value, negated) = match (written.take(are), written.take(are_not)) {
            (Some(value), None) => (are, value, false),
            (None, Some(value)) => (are_not, value, true),
            _ => return Err(PolicyError::Form(format!("it needs `{are}` or `{are_not}`, and not both"))),
        };
        let patterns = strings(&value, name)?;
        if patterns.iter().any(String::is_empty) {
            return Err(PolicyError::Form(format!("`{name}` is empty or has an empty entry")));
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

// === impl Written ===

impl Written {
    /// With none but these members. What a policy says and nobody reads would not be carried out.
    fn of(value: Value, what: &str, members: &[&str]) -> Result<Self, PolicyError> {
        let Value::Object(written) = value else { return Err(PolicyError::Form(format!("{what} is no JSON object"))) };
        match written.keys().find(|name| !members.contains(&name.as_str())) {
            None => Ok(Self(written)),
            Some(name) => {
                let known: Vec<String> = members.iter().map(|name| format!("`{name}`")).collect();
                Err(PolicyError::Form(format!("{what} has a member `{name}`, and known are {}", known.join(", "))))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A member that says nothing but what the mapping is called.
    fn pass_over(&mut self, name: &str) -> Result<(), PolicyError> {
        match self.take(name) {
            None | Some(Value::String(_)) => Ok(()),
            Some(_) => Err(PolicyError::Form(format!("its `{name}` is no string"))),
        }
    }
}

// === impl PolicyError ===

impl PolicyError {
    /// Statements are counted from 1.
    fn in_statement(self, number: usize) -> Self {
        match self {
            Self::Form(text) => Self::Form(format!("statement {number}: {text}")),
            Self::NotOffered(text) => Self::NotOffered(format!("in statement {number} {text}")),
        }
    }
}

fn conditions_of((operator, keys): (String, Value)) -> Result<Vec<Condition>, PolicyError> {
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
    let values = match key {
        Key::PrincipalArn => principal::also_without_paths(values)?,
        _ => values,
    };
    let not_offered = || PolicyError::NotOffered(format!("the condition `{operator}` on `{name}`"));
    // To IAM, `ArnEquals` and `ArnLike` are one.
    let (test, negated) = match operator {
        "StringEquals" if key != Key::SourceIp => (Test::Is(values), false),
        "StringNotEquals" if key != Key::SourceIp => (Test::Is(values), true),
        "StringLike" | "ArnLike" | "ArnEquals" if key != Key::SourceIp => (Test::Like(values), false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" if key != Key::SourceIp => (Test::Like(values), true),
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
        Some(texts) if texts.is_empty() => Err(PolicyError::Form(format!("`{name}` is empty"))),
        // It would stand for itself, and be like nothing.
        Some(texts) if texts.iter().any(|text| text.contains("${")) => {
            Err(PolicyError::NotOffered(format!("a variable (`${{…}}`) in `{name}`")))
        }
        Some(texts) => Ok(texts),
        None => Err(PolicyError::Form(format!("`{name}` is neither a string nor a list of strings"))),
    }
}
