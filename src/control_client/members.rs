//! From an answer to the next request.

use serde_json::{Map, Value};

use super::client::Members;
use crate::control::model::{Location, OperationName, model};

/// What of an object's answer an operation takes as its body: what to begin with where an update replaces everything.
#[must_use]
pub fn requested(operation: OperationName, answer: &Value) -> Members {
    let Value::Object(answer) = answer else { return Members::new() };
    let keep = |(name, value): (&String, &Value)| {
        // The service answers an empty list where it takes none.
        let empty = value.as_array().is_some_and(Vec::is_empty);
        (!empty && takes(operation, name)).then(|| (name.clone(), value.clone()))
    };
    answer.iter().filter_map(keep).collect::<Map<_, _>>()
}

/// Whether a member only ever comes in answers: `get` shows it, and `create` and `update` do not take it.
#[must_use]
pub fn is_answer_only(get: OperationName, create: OperationName, name: &str) -> bool {
    let answered = model().operation(get).and_then(|operation| model().shape(operation.output).members());
    answered.is_some_and(|members| members.contains_key(name)) && !takes(create, name)
}

fn takes(operation: OperationName, name: &str) -> bool {
    let members = model().operation(operation).and_then(|operation| model().shape(operation.input).members());
    members.and_then(|members| members.get(name)).is_some_and(|member| member.location == Location::Body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_begins_with_what_was_asked_for() {
        let answer = json!({"gatewayId": "a-0123456789", "name": "a", "status": "READY", "createdAt": "…",
            "roleArn": "r", "authorizerType": "NONE", "description": "d", "domainOverride": {"default": "h"}});
        let expected = json!({"name": "a", "roleArn": "r", "authorizerType": "NONE", "description": "d",
            "domainOverride": {"default": "h"}});
        assert_eq!(json!(requested(OperationName::UpdateGateway, &answer)), expected);
        let answer = json!({"targetId": "ABCDEFGHIJ", "gatewayArn": "x", "name": "t",
            "credentialProviderConfigurations": [], "targetConfiguration": {"mcp": {}}});
        let expected = json!({"name": "t", "targetConfiguration": {"mcp": {}}});
        assert_eq!(json!(requested(OperationName::UpdateGatewayTarget, &answer)), expected);
    }

    #[test]
    fn members_of_answers_are_told_from_mistakes() {
        let only = |name| is_answer_only(OperationName::GetGateway, OperationName::CreateGateway, name);
        assert!(only("gatewayId") && only("status") && only("statusReasons"));
        assert!(!only("name") && !only("descripton"));
    }
}
