//! What must hold for every input, not only for the examples beside the functions.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no #[test] functions, which clippy.toml would exempt")]

use std::collections::HashSet;

use bytes::Bytes;
use proptest::prelude::*;
use sessiongate_protocol::cursor::{Cursor, CursorScope, ListKind};
use sessiongate_protocol::elicitation::{FormSchema, UrlRequired, attributed, check_answer, for_client, parse_answer};
use sessiongate_protocol::members::Members;
use sessiongate_protocol::meta::{ProgressToken, progress_token, with_progress_token};
use sessiongate_protocol::names::{exposed, shortened};
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_protocol::{
    EventId, Message, RawJson, RequestId, ResponseBody, Revision, StreamId, capabilities, jsonrpc, sse,
};

// === what goes in ===

/// A JSON value in a spelling of its own: spaces, escapes, exponents and trailing zeros included.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u0061\ud83d\ude00\/""#.to_owned()),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
            object_of(inner),
        ]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-z_é\"]{0,6}", value, 0..5).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{}: {value}", serde_json::to_string(name).unwrap())).collect();
        format!("{{{}}}", members.join(" , "))
    })
}

fn object() -> impl Strategy<Value = String> {
    object_of(json())
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|id| id.to_string()),
        any::<String>().prop_map(|id| serde_json::to_string(&id).unwrap())
    ]
}

/// A valid message of every kind.
fn message() -> impl Strategy<Value = String> {
    let method = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    prop_oneof![
        (id(), method.clone(), object()).prop_map(|(id, method, params)| format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#
        )),
        (method, object())
            .prop_map(|(method, params)| format!(r#"{{ "params":{params}, "method":{method},"jsonrpc":"2.0"}}"#)),
        (id(), json()).prop_map(|(id, result)| format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{id}}}"#)),
        (id(), any::<i64>(), json()).prop_map(|(id, code, data)| format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"data":{data},"code":{code},"message":"m"}}}}"#
        )),
    ]
}

/// A form field of every kind that there is, and some that there are not.
fn field() -> impl Strategy<Value = String> {
    let text = "[a-z ]{0,8}";
    prop_oneof![
        (text, 0u8..9)
            .prop_map(|(default, min)| format!(r#"{{"type":"string","default":"{default}","minLength":{min}}}"#)),
        any::<i32>().prop_map(|default| format!(r#"{{"default":{default} , "type":"integer"}}"#)),
        any::<f32>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|max| format!(r#"{{"type":"number","maximum":{max:e}}}"#)),
        any::<bool>().prop_map(|default| format!(r#"{{"type":"boolean", "default":{default}}}"#)),
        (text, text).prop_map(|(a, b)| format!(r#"{{"type":"string","enum":["{a}"],"enumNames":["{b}"]}}"#)),
        (text, text).prop_map(|(a, b)| format!(
            r#"{{"type":"string","oneOf":[{{"const":"{a}","title":"{b}"}}],"default":"{a}"}}"#
        )),
        text.prop_map(|a| format!(r#"{{"type":"array","items":{{"type":"string","enum":["{a}"]}}}}"#)),
        object(),
    ]
}

fn form_params() -> impl Strategy<Value = String> {
    let fields = prop::collection::btree_map("[a-z$]{1,6}", field(), 0..6);
    (any::<bool>(), any::<bool>(), fields).prop_map(|(mode, dialect, fields)| {
        let fields: Vec<String> = fields.iter().map(|(name, field)| format!("\"{name}\":{field}")).collect();
        format!(
            r#"{{{}"message":"m","requestedSchema":{{{}"type":"object","properties":{{{}}}}}}}"#,
            if mode { r#""mode":"form","# } else { "" },
            if dialect { r#""$schema":"https://json-schema.org/draft/2020-12/schema","# } else { "" },
            fields.join(",")
        )
    })
}

fn raw(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

fn parse(text: &str) -> Message {
    Message::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn write(message: &Message) -> Bytes {
    match message {
        Message::Request(request) => jsonrpc::request(&request.id, &request.method, request.params.as_ref()),
        Message::Notification(note) => jsonrpc::notification(&note.method, note.params.as_ref()),
        Message::Response(response) => jsonrpc::response(response.id.as_ref(), &response.body),
    }
}

/// Everything a message holds, comparable.
fn parts(message: &Message) -> (Option<RequestId>, String, Option<String>) {
    let text = |raw: &RawJson| raw.as_str().to_owned();
    match message {
        Message::Request(r) => (Some(r.id.clone()), format!("request {}", r.method), r.params.as_ref().map(text)),
        Message::Notification(n) => (None, format!("notification {}", n.method), n.params.as_ref().map(text)),
        Message::Response(r) => match &r.body {
            ResponseBody::Result(raw) => (r.id.clone(), "result".into(), Some(text(raw))),
            ResponseBody::Error(raw) => (r.id.clone(), "error".into(), Some(text(raw))),
        },
    }
}

// === what holds ===

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let body = Bytes::from(bytes);
        let _ = Message::parse(&body);
        let _ = Message::parse_batch(&body);
    }

    #[test]
    fn a_damaged_message_is_parsed_or_refused(
        text in message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte, how) in damage {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        let body = Bytes::from(bytes);
        if let Ok(message) = Message::parse(&body) {
            prop_assert_eq!(parts(&Message::parse(&write(&message)).unwrap()), parts(&message));
        }
    }

    #[test]
    fn a_message_survives_being_written(text in message()) {
        let message = parse(&text);
        let (_, _, payload) = parts(&message);
        prop_assert!(text.contains(&payload.unwrap_or_default()), "bytes changed");
        prop_assert_eq!(parts(&Message::parse(&write(&message)).unwrap()), parts(&message));
    }

    #[test]
    fn an_id_keeps_its_type(text in id()) {
        let read = RequestId::from_raw(&text).unwrap();
        prop_assert_eq!(read.as_raw().starts_with('"'), text.starts_with('"'));
        prop_assert_eq!(RequestId::from_raw(read.as_raw()), Some(read));
    }

    #[test]
    fn untouched_members_keep_their_bytes_and_their_order(text in object(), change in "[a-z_é]{0,6}", value in json(), drop in any::<bool>()) {
        let object = raw(&text);
        let before = Members::of(&object).unwrap();
        let out = before.with(&[(&change, (!drop).then_some(value.as_str()))]);
        let after = Members::of(&out).unwrap();
        let rest = |members: &Members<'_>| -> Vec<(String, String)> {
            members.iter().filter(|(name, _)| *name != change).map(|(name, raw)| (name.into(), raw.get().into())).collect()
        };
        prop_assert_eq!(rest(&before), rest(&after));
        prop_assert_eq!(after.get(&change).map(|raw| raw.get()), (!drop).then_some(value.as_str()));
    }

    #[test]
    fn a_progress_token_is_what_was_set(text in object(), token in id()) {
        let params = raw(&text);
        let token = ProgressToken::from_raw(&token).unwrap();
        if let Ok(set) = with_progress_token(&params, Some(&token)) {
            prop_assert_eq!(progress_token(&set), Ok(Some(token)));
            let dropped = with_progress_token(&set, None).unwrap();
            prop_assert_eq!(progress_token(&dropped), Ok(None));
        }
    }

    #[test]
    fn event_ids_round_trip_and_nothing_else_reads_as_one(stream in any::<u32>(), seq in any::<u64>(), text in "[-0-9a+ ]{0,12}") {
        let id = EventId { stream: StreamId(stream), seq };
        prop_assert_eq!(EventId::parse(&id.to_string()), Some(id));
        if let Some(read) = EventId::parse(&text) {
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            let (left, right) = text.split_once('-').unwrap();
            prop_assert!(digits(left) && digits(right));
            prop_assert_eq!(read.stream.0, left.parse::<u32>().unwrap());
        }
    }

    #[test]
    fn an_event_is_one_data_line_that_holds_the_same_json(text in json(), stream in any::<u32>(), seq in any::<u64>()) {
        let frame = sse::message(EventId { stream: StreamId(stream), seq }, text.as_bytes());
        let frame = std::str::from_utf8(&frame).unwrap();
        let body = frame.strip_suffix("\n\n").unwrap();
        prop_assert!(!body.contains('\r'));
        let lines: Vec<&str> = body.split('\n').collect();
        prop_assert_eq!(lines.len(), 3);
        let data: serde_json::Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        prop_assert_eq!(data, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn any_bytes_stay_inside_their_event(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let frame = sse::message(EventId { stream: StreamId(1), seq: 1 }, &bytes);
        let ends = frame.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        prop_assert_eq!(ends, 4);
    }

    #[test]
    fn a_downgraded_form_parses_and_holds_nothing_new(text in form_params()) {
        let params = raw(&text);
        prop_assert_eq!(for_client(&params, Revision::V2025_11_25), Ok(params.clone()));
        prop_assert!(for_client(&params, Revision::V2025_03_26).is_err());
        if let Ok(old) = for_client(&params, Revision::V2025_06_18) {
            let value: serde_json::Value = old.get().unwrap();
            let schema = &value["requestedSchema"];
            prop_assert!(value.get("mode").is_none() && schema.get("$schema").is_none());
            for (name, field) in schema["properties"].as_object().unwrap() {
                prop_assert!(field.get("oneOf").is_none() && field["type"] != "array", "{}", name);
                let default = field.get("default");
                prop_assert!(default.is_none_or(|value| value.is_boolean() && field["type"] == "boolean"), "{}", name);
            }
            // Doing it twice changes nothing, and what was a readable form still is one.
            prop_assert_eq!(for_client(&old, Revision::V2025_06_18).unwrap(), old.clone());
            let form = |raw: &RawJson| FormSchema::parse(&raw_member(raw, "requestedSchema"));
            prop_assert!(form(&params).is_err() || form(&old).is_ok());
        }
    }

    #[test]
    fn nothing_a_target_or_client_sends_panics(text in object(), other in object(), form in form_params()) {
        let (a, b) = (raw(&text), raw(&other));
        let schema = raw_member(&raw(&form), "requestedSchema");
        let _ = check_answer(&schema, &a);
        let _ = check_answer(&a, &b);
        let _ = parse_answer(&a);
        let _ = UrlRequired::read(&a);
        let _ = attributed(&a, "cart");
        for revision in Revision::ALL {
            let _ = for_client(&a, revision);
            let declared = capabilities::downstream_capabilities(&a, revision);
            prop_assert!(Members::of(&declared).is_ok());
        }
    }

    #[test]
    fn any_flipped_bit_of_a_cursor_fails(
        target in "[a-z]{0,12}", cursor in prop::option::of(any::<String>().prop_filter("fits", |c| c.len() < 1000)),
        at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let sealer = Sealer::new(Key::new(3, [42; 32]), vec![Key::new(2, [41; 32])]).unwrap();
        let scope = CursorScope { gateway: "g", principal: b"p", list: ListKind::Tools };
        let cursor = Cursor::Downstream { list: ListKind::Tools, target, cursor };
        let token = cursor.seal(&sealer, scope).unwrap();
        prop_assert_eq!(Cursor::open(&sealer, scope, &token), Some(cursor));
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(flipped) = String::from_utf8(bytes) {
            prop_assert_eq!(Cursor::open(&sealer, scope, &flipped), None);
        }
        prop_assert_eq!(Cursor::open(&sealer, scope, &token[..at]), None);
    }

    #[test]
    fn any_text_opens_or_not(text in ".{0,200}") {
        let sealer = Sealer::new(Key::new(0, [0; 32]), Vec::new()).unwrap();
        prop_assert_eq!(sealer.open(b"", &text), None);
    }

    #[test]
    fn short_names_are_stable_within_the_limit_and_of_the_same_characters(
        target in "[a-z0-9-]{1,30}", name in "[A-Za-z0-9_.-]{1,128}", limit in 12usize..140,
    ) {
        let whole = exposed(&target, &name);
        let short = shortened(&whole, limit);
        prop_assert_eq!(&short, &shortened(&whole, limit));
        prop_assert!(short.len() <= limit);
        prop_assert!(short.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)));
        prop_assert_eq!(short == whole, whole.len() <= limit);
        // Shortening again changes nothing.
        prop_assert_eq!(&shortened(&short, limit), &short);
    }

    #[test]
    fn any_name_is_shortened_without_a_panic(name in any::<String>(), limit in 0usize..80) {
        prop_assert!(shortened(&name, limit).len() <= limit);
    }
}

fn raw_member(object: &RawJson, name: &str) -> RawJson {
    raw(Members::of(object).unwrap().get(name).unwrap().get())
}

#[test]
fn names_with_one_beginning_do_not_meet() {
    let beginning = "x".repeat(100);
    let short: HashSet<String> =
        (0..20_000).map(|n| shortened(&exposed("cart", &format!("{beginning}{n}")), 64).into_owned()).collect();
    assert_eq!(short.len(), 20_000);
}

#[test]
fn every_bit_of_one_token_counts() {
    let sealer = Sealer::new(Key::new(3, [42; 32]), Vec::new()).unwrap();
    let token = sealer.seal(b"c", b"plain").unwrap();
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            if let Ok(flipped) = String::from_utf8(bytes) {
                assert_eq!(sealer.open(b"c", &flipped), None, "{at} {bit}");
            }
        }
    }
}
