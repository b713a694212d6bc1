//! A request's members, wherever they were, checked.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::route::{Matched, badly_encoded, decode};
use super::suggest::did_you_mean;
use super::validate::shown;
use super::{Kind, Location, Member, Model, Operation, json};
use crate::control::ControlError;
use crate::control::error::FieldError;

/// What every presigned URL has in its query; it belongs to the signature.
const SIGNATURE_PREFIX: &str = "x-amz-";
/// Shape of a gateway's id in a path: clients may put the gateway's ARN there.
const GATEWAY_IDENTIFIER: &str = "GatewayIdentifier";

/// Everything that an operation was given. It has passed [`Model::validate`].
pub struct Input<'m> {
    model: &'m Model,
    operation: &'m Operation,
    members: Map<String, Value>,
    arns: BTreeMap<&'m str, String>,
}

// === impl Input ===

impl<'m> Input<'m> {
    /// Puts the members of path, query and body together and checks them. An empty body is an empty object. The body's size is bounded by
    /// whoever read it; its depth and the number of its values are bounded here.
    ///
    /// # Errors
    ///
    /// `Validation`: the body is no JSON object (`CannotParse`), or members are wrong (`FieldValidationFailed`, with all their names).
    pub fn parse(model: &'m Model, matched: Matched<'m>, raw_query: &str, body: &[u8]) -> Result<Self, ControlError> {
        let Matched { operation, path } = matched;
        let mut input = Self { model, operation, members: Map::new(), arns: BTreeMap::new() };
        for (name, value) in path {
            input.take_path(name, value);
        }
        let mut wrong = Vec::new();
        input.take_query(raw_query, &mut wrong)?;
        input.take_body(body, &mut wrong)?;
        let members = Value::Object(std::mem::take(&mut input.members));
        if let Err(fields) = model.validate(operation, &members) {
            wrong.extend(fields);
        }
        if !wrong.is_empty() {
            return Err(ControlError::fields(wrong));
        }
        // Only nulls can go here: everything unknown was refused.
        if let Some(Value::Object(members)) = model.project(operation.input, members) {
            input.members = members;
        }
        Ok(input)
    }

    /// Which operation.
    pub fn operation(&self) -> &'m Operation {
        self.operation
    }

    /// A member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// A member that is a string.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A member that is a whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// The items of a member that is a list of strings.
    pub fn strings(&self, name: &str) -> Vec<&str> {
        self.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The ARN that was given where the path has an id. The member has the id then; whether the rest of the ARN is that of the object
    /// is for the caller to compare.
    pub fn arn(&self, name: &str) -> Option<&str> {
        self.arns.get(name).map(String::as_str)
    }

    /// What makes a repeated request recognisable.
    pub fn client_token(&self) -> Option<&str> {
        let (name, _) = self.model.member_list(self.operation).find(|(_, member)| member.idempotency_token)?;
        self.string(name)
    }

    /// The members of the body without the client token: what is stored, and what must be the same when a client token comes again.
    pub fn parameters(&self) -> Map<String, Value> {
        self.model
            .member_list(self.operation)
            .filter(|(_, member)| member.location == Location::Body && !member.idempotency_token)
            .filter_map(|(name, _)| Some((name.to_owned(), self.members.get(name)?.clone())))
            .collect()
    }

    /// All members.
    pub fn into_members(self) -> Map<String, Value> {
        self.members
    }

    fn member(&self, name: &str) -> Option<&'m Member> {
        self.model.shape(self.operation.input).members()?.get(name)
    }

    fn take_path(&mut self, name: &'m str, value: String) {
        let shape = self.member(name).map(|member| self.model.shape(member.shape).name.as_str());
        let id = match value.split_once(":gateway/") {
            Some((before, id)) if shape == Some(GATEWAY_IDENTIFIER) && before.starts_with("arn:") => id.to_owned(),
            _ => {
                self.members.insert(name.to_owned(), value.into());
                return;
            }
        };
        self.members.insert(name.to_owned(), id.into());
        self.arns.insert(name, value);
    }

    fn take_query(&mut self, raw: &str, wrong: &mut Vec<FieldError>) -> Result<(), ControlError> {
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| badly_encoded(&shown(name)))?;
            if name.to_ascii_lowercase().starts_with(SIGNATURE_PREFIX) {
                continue;
            }
            let value = decode(value).ok_or_else(|| badly_encoded(&shown(&name)))?;
            match self.member(&name) {
                Some(member) if member.location == Location::Query => self.take_parameter(name, value, member, wrong),
                _ => {
                    let known = self.model.member_list(self.operation);
                    let known = known.filter(|(_, member)| member.location == Location::Query).map(|(name, _)| name);
                    let near = did_you_mean(&name, known);
                    wrong.push(FieldError::new(shown(&name), format!("is not a parameter of the query here{near}")));
                }
            }
        }
        Ok(())
    }

    /// One parameter of the query, in the type that it has in JSON. What does not look like that type stays text, so that the check says
    /// what it must be.
    fn take_parameter(&mut self, name: String, value: String, member: &Member, wrong: &mut Vec<FieldError>) {
        let kind = &self.model.shape(member.shape).kind;
        let scalar = |kind: &Kind, value: String| match kind {
            Kind::Integer { .. } => value.parse::<i64>().map_or(Value::String(value), Value::from),
            Kind::Boolean => value.parse::<bool>().map_or(Value::String(value), Value::from),
            _ => Value::String(value),
        };
        match kind {
            Kind::List { item, .. } => {
                let item = scalar(&self.model.shape(*item).kind, value);
                if let Value::Array(items) = self.members.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    items.push(item);
                }
            }
            kind if !self.members.contains_key(&name) => {
                let value = scalar(kind, value);
                self.members.insert(name, value);
            }
            _ => wrong.push(FieldError::new(name, "must come once")),
        }
    }

    fn take_body(&mut self, body: &[u8], wrong: &mut Vec<FieldError>) -> Result<(), ControlError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let value = json::parse(body).map_err(|error| ControlError::cannot_parse(format!("the body: {error}")))?;
        let Value::Object(given) = value else {
            return Err(ControlError::cannot_parse("the body must be a JSON object"));
        };
        for (name, value) in given {
            let elsewhere = match self.member(&name).map(|member| member.location) {
                Some(Location::Path) => "the path",
                Some(Location::Query) => "the query",
                Some(Location::Body) | None => {
                    self.members.insert(name, value);
                    continue;
                }
            };
            wrong.push(FieldError::new(name, format!("belongs in {elsewhere}, not in the body")));
        }
        Ok(())
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: among the values are secrets.
        formatter
            .debug_struct("Input")
            .field("operation", &self.operation.name)
            .field("members", &self.members.keys())
            .finish()
    }
}

// === impl Model ===

impl Model {
    /// The members of an operation's input.
    pub(super) fn member_list(&self, operation: &Operation) -> impl Iterator<Item = (&str, &Member)> {
        self.shape(operation.input).members().into_iter().flatten().map(|(name, member)| (name.as_str(), member))
    }
}
