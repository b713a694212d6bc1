//! What must hold for every input of this module.

use proptest::prelude::*;
use serde_json::Value;

use super::caching::{Caching, Scope};
use super::cheap::may_have;
use super::input_required::{
    InputRequest, InputRequired, RequestState, ResultType, input_responses, retry_params, without_rounds,
};
use super::request_state::{Binding, Park, StateError, args_digest};
use super::{errors, profile, results, url_required};
use crate::jsonrpc::{ErrorShape, RequestId, ResponseBody};
use crate::members::Members;
use crate::meta::quoted;
use crate::sealer::{Key, Sealer};
use crate::{RawJson, Revision};

// === what goes in ===

/// Values in spellings that a parser and writer would lose.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| quoted(&text)),
        Just(r#""\u0061\/ \\ \" input_required""#.to_owned()),
        Just("\"complete\"".to_owned()),
        Just("\"url\"".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
            object_of(inner),
        ]
    })
}

/// Names that mean something here, in two spellings, and others.
fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "resultType",
        "ttlMs",
        "cacheScope",
        "inputRequests",
        "inputResponses",
        "requestState",
        "_meta",
        "name",
        "uri",
        "arguments",
        "structuredContent",
        "outputSchema",
        "execution",
        "taskSupport",
        "elicitation",
        "form",
        "url",
        "sampling",
        "tools",
        "context",
        "roots",
        "extensions",
        "io.modelcontextprotocol/ui",
        "mode",
        "elicitationId",
        "io.modelcontextprotocol/serverInfo",
        "io.modelcontextprotocol/related-task",
        "code",
        "message",
        "data",
    ]);
    let escaped = (known.clone(), any::<prop::sample::Index>()).prop_map(|(name, at)| {
        let at = at.index(name.len());
        format!("\"{}\\u{:04x}{}\"", &name[..at], name.as_bytes()[at], &name[at + 1..])
    });
    prop_oneof![
        4 => known.prop_map(|name| format!("\"{name}\"")),
        1 => escaped,
        3 => "[a-zé]{1,5}".prop_map(|name| quoted(&name)),
    ]
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((name(), value), 0..6).prop_map(|members| {
        let mut seen = Vec::new();
        let mut out = Vec::new();
        for (name, value) in members {
            let plain: String = serde_json::from_str(&name).unwrap();
            if !seen.contains(&plain) {
                seen.push(plain);
                out.push(format!("{name} : {value}"));
            }
        }
        format!("{{ {} }}", out.join(" , "))
    })
}

fn object() -> impl Strategy<Value = RawJson> {
    object_of(prop_oneof![json(), object_of(json())]).prop_map(|text| RawJson::parse(text).unwrap())
}

fn anything() -> impl Strategy<Value = RawJson> {
    prop_oneof![3 => object(), 1 => json().prop_map(|text| RawJson::parse(text).unwrap())]
}

fn method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["tools/call", "tools/list", "resources/read", "prompts/get", "server/discover"])
}

fn input_required() -> impl Strategy<Value = InputRequired> {
    let request = (prop::sample::select(vec!["elicitation/create", "sampling/createMessage"]), object());
    let requests = prop::collection::btree_map(".{1,8}", request, 0..4);
    (requests, any::<Option<String>>()).prop_filter_map("says nothing", |(requests, state)| {
        let requests: Vec<InputRequest> = requests
            .into_iter()
            .map(|(key, (method, params))| InputRequest {
                key: key.into(),
                method: method.into(),
                params: Some(params),
            })
            .collect();
        let some = !requests.is_empty() || state.is_some();
        some.then(|| InputRequired { requests, request_state: state.map(|text| RequestState::new(&text)) })
    })
}

fn members(raw: &RawJson, without: &[&str]) -> Vec<(String, String)> {
    let members = Members::of(raw).unwrap();
    let kept = members.iter().filter(|(name, _)| !without.contains(name));
    kept.map(|(name, value)| (name.to_owned(), value.get().to_owned())).collect()
}

fn sealer() -> Sealer {
    Sealer::new(Key::new(1, [1; 32]), Vec::new()).unwrap()
}

const INFO: &str = r#"{"name":"g","version":"1"}"#;

/// The members of a result that a hop owns.
const OWNED: [&str; 7] =
    ["resultType", "ttlMs", "cacheScope", "inputRequests", "requestState", "_meta", "structuredContent"];

proptest! {
    #[test]
    fn a_member_that_is_there_is_never_overlooked(raw in object()) {
        for (name, _) in members(&raw, &[]) {
            if let Some(end) = name.rsplit('/').next().filter(|end| end.is_ascii()) {
                prop_assert!(may_have(&raw, end), "{end} in {}", raw.as_str());
            }
        }
    }

    #[test]
    fn unknown_members_survive_both_ways_in_their_bytes_and_order(raw in object(), method in method()) {
        let info = RawJson::parse(INFO).unwrap();
        let modern = results::to_modern(method, &raw, &info, None);
        prop_assert_eq!(ResultType::of(&modern), ResultType::Complete);
        prop_assert!(modern.as_str().contains(INFO));
        prop_assert_eq!(results::to_modern(method, &modern, &info, None), modern.clone());
        let legacy = results::to_legacy(method, &modern);
        prop_assert_eq!(members(&legacy, &OWNED), members(&raw, &OWNED));
        prop_assert_eq!(results::to_legacy(method, &legacy), legacy.clone());
        let meta = |raw: &RawJson| -> Option<Vec<(String, String)>> {
            let own = [results::SERVER_INFO, results::RELATED_TASK, results::SUBSCRIPTION_ID];
            let raw = RawJson::parse(Members::of(raw).ok()?.get("_meta")?.get().to_owned()).ok()?;
            Members::of(&raw).is_ok().then(|| members(&raw, &own)).filter(|meta| !meta.is_empty())
        };
        prop_assert_eq!(meta(&legacy), meta(&raw));
        let legacy = Members::of(&legacy).unwrap();
        for name in ["resultType", "ttlMs", "cacheScope", "inputRequests", "requestState"] {
            prop_assert!(legacy.get(name).is_none());
        }
    }

    #[test]
    fn a_modern_result_keeps_all_but_the_identity(raw in object()) {
        let info = RawJson::parse(INFO).unwrap();
        let passed = results::pass_modern(&raw, &info);
        let own = ["_meta", "resultType"];
        prop_assert_eq!(members(&passed, &own), members(&raw, &own));
        prop_assert_eq!(ResultType::of(&passed), ResultType::of(&raw));
        prop_assert_eq!(results::pass_modern(&passed, &info), passed);
    }

    #[test]
    fn tools_keep_what_both_eras_have(raw in object()) {
        let own = ["outputSchema", "execution"];
        for tool in [results::tool_to_legacy(&raw), results::tool_to_modern(&raw)] {
            prop_assert_eq!(members(&tool, &own), members(&raw, &own));
        }
    }

    #[test]
    fn a_question_is_read_as_it_was_written(asked in input_required()) {
        let info = RawJson::parse(INFO).unwrap();
        let written = asked.write(&info);
        prop_assert_eq!(ResultType::of(&written), ResultType::InputRequired);
        prop_assert_eq!(InputRequired::parse(&written), Ok(asked.clone()));
        let passed = InputRequired::parse(&results::pass_modern(&written, &RawJson::EMPTY_OBJECT)).unwrap();
        prop_assert_eq!(passed, asked);
    }

    #[test]
    fn a_retry_replaces_and_keeps_the_call(
        params in object(),
        rounds in prop::collection::vec((prop::collection::btree_map(".{1,8}", object(), 0..4), any::<Option<String>>()), 1..4),
    ) {
        let mut retried = params.clone();
        for (responses, state) in rounds {
            let responses: Vec<(Box<str>, RawJson)> =
                responses.into_iter().map(|(key, raw)| (key.into(), raw)).collect();
            let state = state.map(|text| RequestState::new(&text));
            retried = retry_params(&retried, &responses, state.as_ref().map(RequestState::raw));
            prop_assert_eq!(RequestState::of(&retried), Ok(state));
            prop_assert_eq!(input_responses(&retried).unwrap().unwrap_or_default(), responses);
        }
        prop_assert_eq!(args_digest(&retried), args_digest(&params));
        let rounds = ["inputResponses", "requestState"];
        prop_assert_eq!(members(&without_rounds(&retried), &[]), members(&params, &rounds));
    }

    #[test]
    fn nothing_that_can_be_sent_is_too_much(raw in anything(), method in method()) {
        let info = RawJson::parse(INFO).unwrap();
        let _ = (ResultType::of(&raw), InputRequired::parse(&raw), input_responses(&raw), RequestState::of(&raw));
        let _ = (results::to_modern(method, &raw, &info, None), results::to_legacy(method, &raw));
        let _ = (results::tool_to_legacy(&raw), results::tool_to_modern(&raw), results::pass_modern(&raw, &info));
        let _ = (retry_params(&raw, &[], None), without_rounds(&raw), Caching::of(&raw), args_digest(&raw));
        let _ = (url_required::to_input_required(&raw), url_required::to_legacy_params(&raw, "e"));
        let _ = (url_required::to_modern_params(&raw), profile::required_for("sampling/createMessage", Some(&raw)));
        for body in [errors::to_modern("t", &raw), errors::to_legacy(method, "t", &raw)] {
            if let ResponseBody::Error(error) = body {
                prop_assert!(error.borrow::<ErrorShape<'_>>().is_ok_and(|error| !errors::hop_error(error.code)));
            }
        }
    }

    #[test]
    fn no_code_of_a_hop_passes(code in -32050i64..-31990, message in ".{0,20}", data in anything(), method in method()) {
        let text = format!(r#"{{"code":{code},"message":{},"data":{}}}"#, quoted(&message), data.as_str());
        let error = RawJson::parse(text).unwrap();
        let code_of = |body: ResponseBody| match body {
            ResponseBody::Error(raw) => raw.borrow::<ErrorShape<'_>>().unwrap().code,
            ResponseBody::Result(_) => 0,
        };
        let modern = code_of(errors::to_modern("t", &error));
        prop_assert!(![-32020, -32021, -32022, -32002, -32042].contains(&modern));
        let legacy = code_of(errors::to_legacy(method, "t", &error));
        prop_assert!(![-32020, -32021, -32022, -32042].contains(&legacy));
    }

    #[test]
    fn profiles_are_canonical(raw in object()) {
        let once = profile::legacy_capabilities(&raw);
        prop_assert_eq!(profile::legacy_capabilities(&once), once.clone());
        let modern = profile::modern_capabilities(&raw, Revision::V2025_11_25);
        prop_assert_eq!(profile::modern_capabilities(&modern, Revision::V2025_11_25), modern.clone());
        prop_assert_eq!(profile::legacy_capabilities(&modern), once.clone());
        let members = Members::of(&raw).unwrap();
        let turned: Vec<String> = members.iter().map(|(name, raw)| format!("{}:{}", quoted(name), raw.get())).collect();
        let turned = format!("{{{}}}", turned.into_iter().rev().collect::<Vec<_>>().join(","));
        prop_assert_eq!(profile::legacy_capabilities(&RawJson::parse(turned).unwrap()), once.clone());
        // What is declared downstream is what counts as declared here.
        for required in [
            profile::required_for("elicitation/create", None),
            profile::required_for("roots/list", None),
            profile::required_for("sampling/createMessage", None),
        ] {
            prop_assert_eq!(profile::declares(&raw, &required), profile::declares(&once, &required), "{}", required);
        }
    }

    #[test]
    fn a_digest_does_not_depend_on_spaces_or_on_the_order_of_params(raw in object(), spaces in "[ \t\r\n]{1,3}") {
        let members = Members::of(&raw).unwrap();
        let mut turned: Vec<String> = members
            .iter()
            .map(|(name, value)| {
                // Between tokens only: the text of a member starts and ends with one.
                format!("{spaces}{}{spaces}:{spaces}{}{spaces}", quoted(name), value.get())
            })
            .collect();
        turned.reverse();
        let turned = RawJson::parse(format!("{{{}}}", turned.join(","))).unwrap();
        prop_assert_eq!(args_digest(&turned), args_digest(&raw));
        let value: Value = raw.get().unwrap();
        if let Some(name) = value.get("name").and_then(Value::as_str) {
            let other = members.with(&[("name", Some(&quoted(&format!("{name}x"))))]);
            prop_assert_ne!(args_digest(&other), args_digest(&raw));
        }
    }

    #[test]
    fn a_state_opens_unchanged_or_not_at_all(
        session in ".{0,20}", keys in prop::collection::vec(".{1,8}", 0..5), inner in any::<Option<String>>(),
        at in any::<prop::sample::Index>(), bit in 0u8..6, expires_ms in 1u64..,
    ) {
        let binding =
            Binding { gateway: "g", principal: b"p", method: "tools/call", name: "n", args_digest: [7; 32] };
        let questions = keys.iter().map(|key| (key.as_str().into(), RequestId::string(key))).collect();
        let park =
            Park { session: session.into(), stream: "1".into(), call: "2".into(), questions, expires_ms, inner };
        let token = park.seal(&sealer(), &binding).unwrap();
        prop_assert_eq!(Park::open(&sealer(), &binding, &token, expires_ms - 1), Ok(park));
        prop_assert_eq!(Park::open(&sealer(), &binding, &token, expires_ms), Err(StateError::Expired));
        let mut changed = token.into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        let changed = String::from_utf8_lossy(&changed).into_owned();
        prop_assert_eq!(Park::open(&sealer(), &binding, &changed, 0), Err(StateError::Invalid));
    }

    #[test]
    fn merging_never_promises_more_than_a_part_did(parts in prop::collection::vec((any::<u64>(), any::<bool>(), any::<u64>()), 0..5)) {
        let parts: Vec<(Caching, u64)> = parts
            .into_iter()
            .map(|(ttl_ms, public, age)| {
                (Caching { ttl_ms, scope: if public { Scope::Public } else { Scope::Private } }, age)
            })
            .collect();
        let merged = Caching::merge(parts.iter().copied());
        for (part, age) in parts {
            prop_assert!(merged.ttl_ms <= part.ttl_ms.saturating_sub(age));
            prop_assert!(merged.scope == Scope::Private || part.scope == Scope::Public);
        }
    }
}
