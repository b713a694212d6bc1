//! Resource policies: who may use a resource, in the language of IAM policies, as far as it makes sense here.
//!
//! What a policy says in a form that is not understood is refused when it is put: a condition that was skipped would
//! allow more than was meant.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};
use wildmatch::WildMatch;

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
enum WrittenPrincipal {
    Word(String),
    Kinds(Map<String, Value>),
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
        let written: Written = serde_json::from_str(text).map_err(|error| PolicyError::Form(error.to_string()))?;
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
        match (are, are_not) {
            (Some(are), None) => Ok(Self { patterns: are.all(), negated: false }),
            (None, Some(are_not)) => Ok(Self { patterns: are_not.all(), negated: true }),
            _ => Err(PolicyError::Form(format!("a statement needs `{name}` or `Not{name}`, and not both"))),
        }
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
        let value = match self.key {
            Key::PrincipalArn => asked.principal,
            Key::PrincipalAccount => asked.principal.and_then(account),
            Key::SourceIp => None,
        };
        let holds = match &self.test {
            Test::Within(nets) => {
                asked.source.is_some_and(|source| nets.iter().any(|net| net.contains(&source.to_canonical())))
            }
            Test::Is(texts) => value.is_some_and(|value| texts.iter().any(|text| text == value)),
            Test::Like(patterns) => {
                value.is_some_and(|value| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(value)))
            }
        };
        holds != self.negated
    }
}

// === impl WrittenPrincipal ===

impl WrittenPrincipal {
    fn arns(self) -> Result<Vec<String>, PolicyError> {
        match self {
            Self::Word(word) if word == "*" => Ok(vec![word]),
            Self::Word(word) => Err(PolicyError::Form(format!("`Principal` is `{word}`: it is `*` or a mapping"))),
            Self::Kinds(kinds) => {
                let mut all = Vec::new();
                for (kind, value) in kinds {
                    if kind != "AWS" {
                        return Err(PolicyError::NotOffered(format!("a principal of the kind `{kind}`")));
                    }
                    all.extend(strings(&value, "Principal.AWS")?);
                }
                Ok(all)
            }
        }
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

/// `*`, an ARN, an account, or the root of an account, which stands for everyone in it.
fn is_principal(pattern: &str, principal: &str) -> bool {
    if pattern == "*" || (!principal.is_empty() && pattern == principal) {
        return true;
    }
    let of = match pattern.strip_suffix(":root") {
        Some(arn) => account(arn),
        None => (pattern.len() == 12 && pattern.bytes().all(|byte| byte.is_ascii_digit())).then_some(pattern),
    };
    of.is_some() && of == account(principal)
}

/// The account in an ARN.
pub fn account(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.split(':').nth(3).filter(|account| !account.is_empty())
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
    texts.ok_or_else(|| PolicyError::Form(format!("`{name}` is neither a string nor a list of strings")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/shop-0123456789";
    const ALICE: &str = "arn:aws:iam::111111111111:user/alice";

    fn judge(statement: &str, principal: Option<&str>) -> Verdict {
        let policy = Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)).unwrap();
        let source = Some("10.1.2.3".parse().unwrap());
        policy.judge(&Asked { principal, action: "bedrock-agentcore:InvokeGateway", resource: GATEWAY, source })
    }

    #[test]
    fn statements_are_judged() {
        let allow = |principal: &str, more: &str| {
            format!(
                r#"{{"Effect":"Allow","Principal":{principal},"Action":"bedrock-agentcore:Invoke*","Resource":"*"{more}}}"#
            )
        };
        for (statement, principal, verdict) in [
            (allow(r#""*""#, ""), None, Verdict::Allowed),
            (allow(r#"{"AWS":"111111111111"}"#, ""), Some(ALICE), Verdict::Allowed),
            (allow(r#"{"AWS":["arn:aws:iam::111111111111:root"]}"#, ""), Some(ALICE), Verdict::Allowed),
            (allow(&format!(r#"{{"AWS":"{ALICE}"}}"#), ""), Some(ALICE), Verdict::Allowed),
            (allow(r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#, ""), Some(ALICE), Verdict::Silent),
            (allow(r#"{"AWS":"222222222222"}"#, ""), Some(ALICE), Verdict::Silent),
            (allow(r#"{"AWS":"111111111111"}"#, ""), None, Verdict::Silent),
            (allow(r#""*""#, r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#), None, Verdict::Allowed),
            (allow(r#""*""#, r#","Condition":{"NotIpAddress":{"aws:SourceIp":["10.1.2.3"]}}"#), None, Verdict::Silent),
            (
                allow(r#""*""#, r#","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a*"}}"#),
                Some(ALICE),
                Verdict::Allowed,
            ),
            (
                allow(r#""*""#, r#","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"111111111111"}}"#),
                Some(ALICE),
                Verdict::Silent,
            ),
            (
                format!("{},{}", allow(r#""*""#, ""), allow(r#""*""#, "").replace("Allow", "Deny")),
                Some(ALICE),
                Verdict::Denied,
            ),
            (allow(r#""*""#, "").replace("Invoke*", "Get*"), Some(ALICE), Verdict::Silent),
            (allow(r#""*""#, "").replace(r#""Resource":"*""#, r#""NotResource":"*""#), Some(ALICE), Verdict::Silent),
        ] {
            assert_eq!(judge(&statement, principal), verdict, "{statement}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"Statement":[]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Maybe","Principal":"*","Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Extra":1}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"x"},"Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}"#,
            r#"{"Version":"2020","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#,
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }
}
