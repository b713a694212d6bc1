//! Results and list items of one era for a client of the other. What need not change keeps its bytes, and what has
//! nothing to change is not copied.
//!
//! A result that is no object or has duplicate members passes as it came: there is nothing in it to set.

use serde_json::value::RawValue;

use super::caching::{Caching, cacheable};
use super::cheap::{may_have, said};
use super::input_required::ResultType;
use crate::json::RawJson;
use crate::members::Members;

/// The `_meta` key under which a server names itself in its results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The `_meta` key that ties what a `subscriptions/listen` brings to that request.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The `_meta` key of a legacy task's results (2025-11-25, tasks).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// A result of a legacy target for a modern client: with `resultType`, the gateway's `serverInfo` in place of what was
/// there, and, on the cacheable methods, `ttlMs` and `cacheScope` (none means not cacheable). What only a legacy
/// client can use is taken out of `_meta`.
pub fn to_modern(method: &str, result: &RawJson, server_info: &RawJson, caching: Option<Caching>) -> RawJson {
    let Ok(members) = Members::of(result) else { return result.clone() };
    let mut changes = Changes::default();
    changes.set(&members, "resultType", COMPLETE.into());
    if cacheable(method) {
        let caching = caching.unwrap_or(Caching::NONE);
        changes.set(&members, "ttlMs", caching.ttl_ms.to_string());
        changes.set(&members, "cacheScope", format!("\"{}\"", caching.scope.as_str()));
    }
    if let Some(meta) = meta_with(&members, &[SUBSCRIPTION_ID, RELATED_TASK], server_info) {
        changes.0.push(("_meta", Some(meta)));
    }
    changes.apply(result, &members)
}

/// A result of a modern target on its way to a modern client, read once.
#[derive(Debug)]
pub struct Passing<'a> {
    result: &'a RawJson,
    /// None where it is no object or has duplicate members.
    members: Option<Members<'a>>,
}

// === impl Passing ===

impl<'a> Passing<'a> {
    /// Reads a result.
    pub fn of(result: &'a RawJson) -> Self {
        Self { result, members: Members::of(result).ok() }
    }

    /// What it is.
    pub fn result_type(&self) -> ResultType {
        match self.members.as_ref().map(|members| said(members.get("resultType")).map(RawValue::get)) {
            Some(None | Some(COMPLETE)) => ResultType::Complete,
            _ => ResultType::of(self.result),
        }
    }

    /// Whether it is that of a tool that failed.
    pub fn is_error(&self) -> bool {
        self.members.as_ref().and_then(|members| members.get("isError")).is_some_and(|raw| raw.get() == "true")
    }

    /// As it came, but with the gateway's `serverInfo`, and a `resultType` where the target left it out.
    pub fn pass(&self, server_info: &RawJson) -> RawJson {
        let Some(members) = &self.members else { return self.result.clone() };
        let mut changes = Changes::default();
        if said(members.get("resultType")).is_none() {
            changes.0.push(("resultType", Some(COMPLETE.into())));
        }
        if let Some(meta) = meta_with(members, &[], server_info) {
            changes.0.push(("_meta", Some(meta)));
        }
        changes.apply(self.result, members)
    }
}

/// As [`Passing::pass`].
pub fn pass_modern(result: &RawJson, server_info: &RawJson) -> RawJson {
    Passing::of(result).pass(server_info)
}

/// A complete result of a modern target for a legacy client: without what strict readers of the older schemas trip
/// over. A `structuredContent` that is no object is dropped; the text beside it stays.
pub fn to_legacy(method: &str, result: &RawJson) -> RawJson {
    let structured = method == "tools/call" && may_have(result, "structuredContent");
    let touched = MODERN_ONLY.into_iter().chain(["serverInfo", "subscriptionId"]).any(|name| may_have(result, name));
    if !touched && !structured {
        return result.clone();
    }
    let Ok(members) = Members::of(result) else { return result.clone() };
    let mut changes = Changes::default();
    for name in MODERN_ONLY {
        changes.drop(&members, name);
    }
    if structured && members.get("structuredContent").is_some_and(|raw| !raw.get().starts_with('{')) {
        changes.drop(&members, "structuredContent");
    }
    if let Some(meta) = meta_without(&members, &[SERVER_INFO, SUBSCRIPTION_ID]) {
        changes.0.push(("_meta", meta));
    }
    changes.apply(result, &members)
}

/// A tool of a modern target for a legacy client, whose `outputSchema` must describe an object: another is dropped.
pub fn tool_to_legacy(tool: &RawJson) -> RawJson {
    if !may_have(tool, "outputSchema") {
        return tool.clone();
    }
    let Ok(members) = Members::of(tool) else { return tool.clone() };
    let of_object = |raw: &RawValue| {
        Members::of_str(raw.get()).is_ok_and(|schema| schema.get_str("type").as_deref() == Some("object"))
    };
    let mut changes = Changes::default();
    if members.get("outputSchema").is_some_and(|raw| !of_object(raw)) {
        changes.drop(&members, "outputSchema");
    }
    changes.apply(tool, &members)
}

/// A tool of a legacy target for a modern client: without `execution.taskSupport`, which is of 2025-11-25 alone.
pub fn tool_to_modern(tool: &RawJson) -> RawJson {
    if !may_have(tool, "taskSupport") {
        return tool.clone();
    }
    let Ok(members) = Members::of(tool) else { return tool.clone() };
    let Some(execution) = members.get("execution").and_then(|raw| Members::of_str(raw.get()).ok()) else {
        return tool.clone();
    };
    if execution.get("taskSupport").is_none() {
        return tool.clone();
    }
    let alone = execution.iter().count() == 1;
    let left = (!alone).then(|| execution.with(&[("taskSupport", None)]));
    members.with(&[("execution", left.as_ref().map(RawJson::as_str))])
}

// === helpers ===

const COMPLETE: &str = "\"complete\"";

const MODERN_ONLY: [&str; 5] = ["resultType", "ttlMs", "cacheScope", "inputRequests", "requestState"];

/// What must change in an object; nothing leaves it alone.
#[derive(Default)]
struct Changes(Vec<(&'static str, Option<String>)>);

impl Changes {
    fn set(&mut self, members: &Members<'_>, name: &'static str, value: String) {
        if members.get(name).is_none_or(|raw| raw.get() != value) {
            self.0.push((name, Some(value)));
        }
    }

    fn drop(&mut self, members: &Members<'_>, name: &'static str) {
        if members.get(name).is_some() {
            self.0.push((name, None));
        }
    }

    fn apply(&self, whole: &RawJson, members: &Members<'_>) -> RawJson {
        if self.0.is_empty() {
            return whole.clone();
        }
        let changes: Vec<_> = self.0.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        members.with(&changes)
    }
}

/// The new `_meta`, where it must change: without `drops`, and with the server's identity. One that is no object, or
/// has duplicates, is replaced: nobody can say what it means.
fn meta_with(members: &Members<'_>, drops: &[&str], server_info: &RawJson) -> Option<String> {
    let Some(meta) = members.get("_meta").and_then(|raw| Members::of_str(raw.get()).ok()) else {
        return Some(["{\"", SERVER_INFO, "\":", server_info.as_str(), "}"].concat());
    };
    let same = meta.get(SERVER_INFO).is_some_and(|raw| raw.get() == server_info.as_str());
    let mut changes: Vec<(&str, Option<&str>)> =
        drops.iter().filter(|name| meta.get(name).is_some()).map(|name| (*name, None)).collect();
    if !same {
        changes.push((SERVER_INFO, Some(server_info.as_str())));
    }
    (!changes.is_empty()).then(|| meta.with(&changes).as_str().to_owned())
}

/// The new `_meta`, where it must change; inner none where nothing is left of it.
fn meta_without(members: &Members<'_>, drops: &[&str]) -> Option<Option<String>> {
    let meta = Members::of_str(members.get("_meta")?.get()).ok()?;
    let changes: Vec<(&str, Option<&str>)> =
        drops.iter().filter(|name| meta.get(name).is_some()).map(|name| (*name, None)).collect();
    if changes.is_empty() {
        return None;
    }
    let left = meta.iter().count() > changes.len();
    Some(left.then(|| meta.with(&changes).as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::caching::Scope;
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    /// Same bytes, and the same memory.
    fn untouched(before: &RawJson, after: &RawJson) -> bool {
        std::ptr::eq(before.as_bytes(), after.as_bytes())
    }

    #[test]
    fn a_legacy_result_gets_what_a_modern_client_needs() {
        let info = raw(r#"{"name":"g","version":"1"}"#);
        let call = raw(
            r#"{"content":[ ],"x":1.0,"_meta":{"a":1,"io.modelcontextprotocol/related-task":{"taskId":"t"},"io.modelcontextprotocol/serverInfo":{"name":"evil"}}}"#,
        );
        let modern = to_modern("tools/call", &call, &info, None);
        assert_eq!(
            modern.as_str(),
            r#"{"content":[ ],"x":1.0,"_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"g","version":"1"}},"resultType":"complete"}"#
        );
        assert!(untouched(&modern, &to_modern("tools/call", &modern, &info, None)));
        assert!(untouched(&modern, &pass_modern(&modern, &info)));
        let list = to_modern("tools/list", &raw(r#"{"tools":[]}"#), &info, None);
        assert_eq!(
            list.as_str(),
            r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"g","version":"1"}}}"#
        );
        let public = Caching { ttl_ms: 60_000, scope: Scope::Public };
        let list = to_modern("tools/list", &list, &info, Some(public));
        assert_eq!(Caching::of(&list), public);
        assert_eq!(to_legacy("tools/list", &list).as_str(), r#"{"tools":[]}"#);
        // A legacy target cannot pass off a result as a question.
        let forged = to_modern("tools/call", &raw(r#"{"resultType":"input_required"}"#), &info, None);
        assert!(forged.as_str().starts_with(r#"{"resultType":"complete""#));
        assert!(to_modern("tools/call", &raw(r#"{"_meta":null}"#), &info, None).as_str().contains("serverInfo"));
    }

    #[test]
    fn a_modern_result_passes_with_the_gateways_identity() {
        let info = raw(r#"{"name":"g"}"#);
        let asks = raw(
            r#"{"resultType":"input_required","inputRequests":{"k":{ "method":"roots/list"}},"requestState":"\u0061"}"#,
        );
        assert_eq!(
            pass_modern(&asks, &info).as_str(),
            r#"{"resultType":"input_required","inputRequests":{"k":{ "method":"roots/list"}},"requestState":"\u0061","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"g"}}}"#
        );
        assert!(pass_modern(&raw("{}"), &info).as_str().contains(r#""resultType":"complete""#));
        for text in [
            "{}",
            r#"{"resultType":null}"#,
            r#"{"resultType":"complete","isError":true}"#,
            r#"{"resultType":"\u0063omplete"}"#,
            r#"{"resultType":"input_required","isError":false}"#,
            r#"{"resultType":"task"}"#,
            r#"{"resultType":"other"}"#,
            r#"{"resultType":1}"#,
            r#"{"resultType":"complete","resultType":"task"}"#,
            "[]",
        ] {
            let result = raw(text);
            let passing = Passing::of(&result);
            assert_eq!(passing.result_type(), ResultType::of(&result), "{text}");
            assert_eq!(passing.is_error(), text.contains("true"), "{text}");
        }
    }

    #[test]
    fn a_legacy_client_sees_nothing_of_the_modern_era() {
        let modern = raw(
            r#"{"resultType":"complete","content":[ ],"structuredContent":[1],"ttlMs":1,"cacheScope":"public","y":2e0,"_meta":{"io.modelcontextprotocol\/serverInfo":{}}}"#,
        );
        assert_eq!(to_legacy("tools/call", &modern).as_str(), r#"{"content":[ ],"y":2e0}"#);
        let object = raw(r#"{"content":[],"structuredContent":{ "a":1 }}"#);
        assert!(untouched(&object, &to_legacy("tools/call", &object)));
        let plain = raw(r#"{"content":[],"_meta":{"a":1}}"#);
        assert!(untouched(&plain, &to_legacy("tools/call", &plain)));
        assert_eq!(
            to_legacy("x", &raw(r#"{"_meta":{"a":[ 1 ],"io.modelcontextprotocol/serverInfo":{}}}"#)).as_str(),
            r#"{"_meta":{"a":[ 1 ]}}"#
        );
        // The text of a tool may speak of anything.
        let text = raw(r#"{"content":[{"type":"text","text":"\"ttlMs\""}],"n":{"ttlMs":1}}"#);
        assert!(untouched(&text, &to_legacy("tools/call", &text)));
        for odd in ["[]", "null", r#"{"ttlMs":1,"ttlMs":2}"#] {
            assert_eq!(to_legacy("x", &raw(odd)).as_str(), odd);
            assert_eq!(to_modern("x", &raw(odd), &raw("{}"), None).as_str(), odd);
        }
    }

    #[test]
    fn tools_lose_only_what_the_other_era_cannot_read() {
        for (schema, kept) in [
            (r#"{"type":"object"}"#, true),
            (r#"{"type":"array"}"#, false),
            ("true", false),
            (r#"{"anyOf":[]}"#, false),
            ("null", false),
        ] {
            let tool = raw(&format!(r#"{{"name":"a","outputSchema":{schema},"x":[ ]}}"#));
            let legacy = tool_to_legacy(&tool);
            assert_eq!(untouched(&tool, &legacy), kept, "{schema}");
            assert!(kept || legacy.as_str() == r#"{"name":"a","x":[ ]}"#);
        }
        let of = |text: &str| tool_to_modern(&raw(text)).as_str().to_owned();
        assert_eq!(of(r#"{"name":"a","execution":{"taskSupport":"optional"}}"#), r#"{"name":"a"}"#);
        assert_eq!(of(r#"{"execution":{"taskSupport":"optional","y":[ ]}}"#), r#"{"execution":{"y":[ ]}}"#);
        let tool = raw(r#"{"name":"a","description":"taskSupport","execution":{}}"#);
        assert!(untouched(&tool, &tool_to_modern(&tool)));
    }
}
