//! A session with two targets, `cart` and `mail`, and everything it did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_protocol::{EventId, Message, RawJson, Request, RequestId, Response, Revision, StreamId};
use sessiongate_storage::{Batch, Op, StoredSession, StreamExtent, Timestamp};
use sessiongate_targets::{CallReply, LinkEvent, Origin, SavedLink, TargetError, Welcome};

use crate::catalogue::{Snapshot, TargetCatalogue, TargetState};
use crate::session::core::{
    Answer, CallId, ConnId, Effect, Env, Generation, Input, Record, SessionCore, SessionFacts, Step,
};
use crate::settings::{Affinity, GatewaySettings, Listing, Naming, SessionSettings, TargetSettings};

pub(super) const NEW: Revision = Revision::V2025_11_25;
pub(super) const OLD: Revision = Revision::V2025_06_18;
pub(super) const START: u64 = 1_800_000_000_000;
pub(super) const FORM: &str = r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}"#;

pub(super) fn raw(value: &Value) -> RawJson {
    RawJson::parse(value.to_string()).unwrap()
}

pub(super) fn name(text: &str) -> Arc<str> {
    text.into()
}

pub(super) fn message(value: &Value) -> Message {
    Message::parse(&Bytes::from(value.to_string())).unwrap()
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The message in an SSE frame; null for a priming event.
pub(super) fn data(frame: &[u8]) -> Value {
    let text = std::str::from_utf8(frame).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    if data.is_empty() { Value::Null } else { json_of(data.as_bytes()) }
}

/// What is stored, as the contract of the store says.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) record: Option<Bytes>,
    pub(super) expires: Timestamp,
    pub(super) items: BTreeMap<(u8, u64), Bytes>,
    pub(super) streams: BTreeMap<u32, BTreeMap<u64, (Timestamp, Bytes)>>,
    pub(super) deleted: bool,
}

impl Disk {
    pub(super) fn apply(&mut self, batch: &Batch) {
        for op in &batch.ops {
            match op {
                Op::PutRecord { value, expires } => {
                    self.record = Some(value.clone());
                    self.expires = *expires;
                }
                Op::PutItem { kind, id, value } => drop(self.items.insert((kind.0, *id), value.clone())),
                Op::DeleteItem { kind, id } => drop(self.items.remove(&(kind.0, *id))),
                Op::Append { stream, seq, at, frame } => {
                    let events = self.streams.entry(stream.0).or_default();
                    match events.last_key_value() {
                        Some((last, _)) => assert_eq!(*seq, last + 1, "stream {} has a hole or a double", stream.0),
                        None => assert!(*seq <= 1, "stream {} starts at {seq}", stream.0),
                    }
                    events.insert(*seq, (*at, frame.clone()));
                }
                Op::Trim { stream, through } => {
                    self.streams.get_mut(&stream.0).unwrap().retain(|seq, _| seq > through);
                }
                Op::DropStream { stream } => drop(self.streams.remove(&stream.0)),
                Op::DeleteSession => *self = Self { deleted: true, ..Self::default() },
            }
        }
    }

    pub(super) fn stored(&self) -> StoredSession {
        let record = self.record.clone().unwrap();
        StoredSession {
            expires: self.expires,
            record,
            items: self
                .items
                .iter()
                .map(|((kind, id), value)| (sessiongate_storage::ItemKind(*kind), *id, value.clone()))
                .collect(),
            streams: self
                .streams
                .iter()
                .filter_map(|(stream, events)| {
                    let ((first, _), (last, (last_at, _))) = (events.first_key_value()?, events.last_key_value()?);
                    let bytes = events.values().map(|(_, frame)| frame.len() as u64).sum();
                    let (stream, first, last) = (StreamId(*stream), *first, *last);
                    Some(StreamExtent { stream, first, last, bytes, last_at: *last_at })
                })
                .collect(),
        }
    }

    /// The messages of a stream, in order, without the priming event.
    pub(super) fn messages(&self, stream: u32) -> Vec<Value> {
        let events = self.streams.get(&stream).into_iter().flat_map(BTreeMap::values);
        events.map(|(_, frame)| data(frame)).filter(|message| !message.is_null()).collect()
    }
}

pub(super) struct World {
    pub(super) core: SessionCore,
    pub(super) settings: Arc<GatewaySettings>,
    pub(super) catalogue: Snapshot,
    sealer: Sealer,
    pub(super) now: u64,
    pub(super) disk: Disk,
    /// The disk after each batch, with what must have been done by then.
    pub(super) history: Vec<Disk>,
    next: u64,
}

pub(super) fn settings(change: impl FnOnce(&mut GatewaySettings)) -> GatewaySettings {
    let mut settings = GatewaySettings {
        name: name("shop"),
        naming: Naming::Prefixed,
        listing: Listing::Default,
        pagination: true,
        exceptions: Default::default(),
        max_name_length: None,
        search: false,
        sessions: SessionSettings::default(),
    };
    change(&mut settings);
    settings
}

/// A tool as a target lists it.
pub(super) fn listed(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

pub(super) fn target(named: &str, tools: &[&str]) -> TargetState {
    let capabilities = json!({"tools":{},"prompts":{},"resources":{"subscribe":true},"logging":{},"completions":{}});
    let catalogue = TargetCatalogue {
        revision: "2025-11-25".into(),
        transport: "streamable-http".into(),
        capabilities: raw(&capabilities),
        server_info: raw(&json!({"name": named})),
        instructions: None,
        tools: tools.iter().map(|tool| raw(&listed(tool))).collect(),
        prompts: vec![raw(&json!({"name":"greet"}))],
        resources: vec![raw(&json!({"uri": format!("{named}://one"), "name":"one"}))],
        templates: Vec::new(),
        caching: Default::default(),
        left_out: Vec::new(),
        synced_at: Timestamp(START),
        took_ms: 1,
    };
    let settings = TargetSettings {
        name: name(named),
        call_timeout: Duration::from_secs(60),
        resource_priority: 0,
        required: false,
        affinity: Affinity::Principal,
        listing: None,
        tool_name: usize::MAX,
    };
    TargetState { settings, catalogue: Some(Arc::new(catalogue)) }
}

impl World {
    pub(super) fn new(revision: Revision) -> Self {
        Self::with(revision, |_| {})
    }

    pub(super) fn with(revision: Revision, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let all = json!({"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{"listChanged":true}});
        Self::build(revision, &all, change)
    }

    pub(super) fn build(revision: Revision, capabilities: &Value, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let settings = Arc::new(settings(change));
        let catalogue = Snapshot::build(&settings, vec![target("cart", &["add"]), target("mail", &["send"])]);
        let facts = SessionFacts {
            gateway: "shop".into(),
            principal: "p".into(),
            revision,
            capabilities: raw(capabilities),
            client_info: raw(&json!({"name":"c","version":"1"})),
            created: Timestamp(START),
            max_name_length: None,
            via: None,
            conversation: false,
            transient: false,
            stateless: false,
        };
        let mut core = SessionCore::new(settings.clone(), facts, catalogue.hashes());
        let mut disk = Disk::default();
        disk.apply(&core.first_batch());
        let sealer = Sealer::new(Key::new(1, [7; 32]), Vec::new()).unwrap();
        Self { core, settings, catalogue, sealer, now: START, history: vec![disk.clone()], disk, next: 1 }
    }

    /// A session of the gateway's own, for modern clients.
    pub(super) fn conversation() -> Self {
        let mut world = Self::new(NEW);
        world.core.facts.conversation = true;
        let batch = world.core.first_batch();
        world.disk.apply(&batch);
        world
    }

    pub(super) fn step(&mut self, input: Input) -> Out {
        let settings = self.settings.clone();
        let step = self.core.step(input, &env(self.now, &settings, &self.catalogue, &self.sealer));
        self.commit(step)
    }

    fn commit(&mut self, step: Step) -> Out {
        self.disk.apply(&step.batch);
        if !step.batch.is_empty() {
            self.history.push(self.disk.clone());
        }
        Out(step)
    }

    /// The process is killed and started again.
    pub(super) fn restart(&mut self) -> Out {
        let settings = self.settings.clone();
        let env = env(self.now, &settings, &self.catalogue, &self.sealer);
        let (core, step, next) = SessionCore::restore(settings.clone(), &self.disk.stored(), &env).unwrap();
        self.core = core;
        self.next = next.0;
        self.commit(step)
    }

    /// The gateway's settings change.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut GatewaySettings)) -> Out {
        change(Arc::make_mut(&mut self.settings));
        self.step(Input::SettingsChanged)
    }

    pub(super) fn id(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next - 1)
    }

    // === the client ===

    pub(super) fn request(&mut self, id: i64, method: &str, params: Value, sse: bool) -> (CallId, Out) {
        let call = self.id();
        let request = Request { id: RequestId::integer(id), method: method.into(), params: Some(raw(&params)) };
        (call, self.step(Input::Request { call, request, sse, log_level: None }))
    }

    /// `tools/call` with the progress token `t<id>`.
    pub(super) fn tool(&mut self, id: i64, tool: &str) -> (CallId, Out) {
        let params = json!({"name": tool, "arguments": {}, "_meta": {"progressToken": format!("t{id}")}});
        self.request(id, "tools/call", params, true)
    }

    pub(super) fn notify(&mut self, method: &str, params: Value) -> Out {
        let value = json!({"jsonrpc":"2.0","method":method,"params":params});
        let Message::Notification(notification) = message(&value) else { panic!("{value}") };
        self.step(Input::Notification(notification))
    }

    pub(super) fn reply(&mut self, id: i64, result: Value) -> (CallId, Out) {
        let call = self.id();
        let body = sessiongate_protocol::ResponseBody::Result(raw(&result));
        let response = Response { id: Some(RequestId::integer(id)), body };
        (call, self.step(Input::Response { call, response }))
    }

    pub(super) fn attach(&mut self, after: Option<&str>) -> (ConnId, Out) {
        let conn = ConnId(self.id().0);
        let after = after.map(|id| EventId::parse(id).unwrap());
        (conn, self.step(Input::Attach { conn, after }))
    }

    pub(super) fn tick(&mut self, at: Timestamp) -> Out {
        self.now = self.now.max(at.0);
        self.step(Input::Tick)
    }

    // === the targets ===

    pub(super) fn opened(&mut self, target: &str, generation: u32) -> Out {
        let result = json!({"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{},"resources":{"subscribe":true}},"serverInfo":{"name":"s","version":"1"}});
        let welcome = Welcome { revision: NEW, result: raw(&result), transport: "streamable-http" };
        self.link_opened(target, generation, Some(welcome))
    }

    pub(super) fn link_opened(&mut self, target: &str, generation: u32, welcome: Option<Welcome>) -> Out {
        let saved =
            SavedLink { session_id: Some(format!("{target}-{generation}").into()), revision: "2025-11-25".into() };
        let saved = if welcome.is_some() { Some(saved) } else { Some(self.saved_link(target)) };
        self.step(Input::LinkOpened { target: name(target), generation: Generation(generation), welcome, saved })
    }

    fn saved_link(&self, target: &str) -> SavedLink {
        let record = Record::parse(self.disk.record.as_ref().unwrap()).unwrap();
        record.links.into_iter().find(|(known, _)| **known == *target).map(|(_, saved)| saved).unwrap()
    }

    pub(super) fn done(&mut self, call: CallId, generation: u32, result: Value) -> Out {
        self.ended(call, generation, json!({"result": result}))
    }

    /// `result` or `error`.
    pub(super) fn ended(&mut self, call: CallId, generation: u32, body: Value) -> Out {
        let mut value = json!({"jsonrpc":"2.0","id":1});
        value.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let Message::Response(response) = message(&value) else { panic!("{value}") };
        let result = Ok(CallReply { response, event_id: None });
        self.step(Input::CallDone { call, generation: Generation(generation), result })
    }

    pub(super) fn failed(&mut self, call: CallId, generation: u32, error: TargetError) -> Out {
        self.step(Input::CallDone { call, generation: Generation(generation), result: Err(error) })
    }

    /// A message of a target; with an event id on the stream of call `on`, or outside calls.
    pub(super) fn says(
        &mut self,
        target: &str,
        generation: u32,
        on: Option<i64>,
        event: Option<&str>,
        value: Value,
    ) -> Out {
        let mut whole = json!({"jsonrpc":"2.0"});
        whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let event = LinkEvent::Message {
            origin: on.map_or(Origin::Standing, Origin::Call),
            message: message(&whole),
            event_id: event.map(Into::into),
        };
        self.step(Input::Link { target: name(target), generation: Generation(generation), event })
    }

    /// A tool call on an open link; gives the downstream id too.
    pub(super) fn running(&mut self, id: i64, tool: &str) -> (CallId, i64) {
        let (call, mut out) = self.tool(id, tool);
        if let Some((target, generation)) = out.opens().first().cloned() {
            out = self.opened(&target, generation);
        }
        let sent = out.sent();
        let (_, body) = sent.iter().find(|(owner, _)| *owner == call).unwrap();
        (call, body["id"].as_i64().unwrap())
    }

    pub(super) fn progress(&mut self, target: &str, on: i64, event: Option<&str>, value: f64) -> Out {
        let params = json!({"progressToken": on, "progress": value});
        self.says(target, 1, Some(on), event, json!({"method":"notifications/progress","params":params}))
    }

    /// A form question of a target with the id `q`.
    pub(super) fn asks(&mut self, target: &str, on: Option<i64>, event: Option<&str>, q: i64) -> Out {
        let schema: Value = serde_json::from_str(FORM).unwrap();
        let params = json!({"message":"who?","requestedSchema":schema});
        self.says(target, 1, on, event, json!({"id":q,"method":"elicitation/create","params":params}))
    }
}

fn env<'a>(now: u64, settings: &'a GatewaySettings, catalogue: &'a Snapshot, sealer: &'a Sealer) -> Env<'a> {
    Env { now: Timestamp(now), settings, catalogue, sealer }
}

/// What one input led to.
pub(super) struct Out(pub(super) Step);

impl Out {
    pub(super) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.0.now.iter().chain(&self.0.durable)
    }

    pub(super) fn stores(&self) -> bool {
        !self.0.batch.is_empty()
    }

    pub(super) fn answers(&self) -> Vec<(CallId, Value)> {
        self.effects()
            .filter_map(|effect| match effect {
                Effect::Answer(call, Answer::Json(body) | Answer::Refused { body, .. }) => Some((*call, json_of(body))),
                _ => None,
            })
            .collect()
    }

    pub(super) fn answer(&self) -> Value {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0).1
    }

    /// Stream, place and message of what is shown.
    pub(super) fn frames(&self) -> Vec<(u32, u64, Value)> {
        assert!(!self.0.now.iter().any(|effect| matches!(effect, Effect::Frame { .. })), "shown before it is stored");
        self.effects()
            .filter_map(|effect| match effect {
                Effect::Frame { stream, seq, frame } => Some((stream.0, *seq, data(frame))),
                _ => None,
            })
            .collect()
    }

    /// The messages shown.
    pub(super) fn shown(&self) -> Vec<Value> {
        self.frames().into_iter().map(|(_, _, message)| message).filter(|message| !message.is_null()).collect()
    }

    pub(super) fn posts(&self) -> Vec<(Arc<str>, Option<u64>, Value)> {
        assert!(!self.0.now.iter().any(|effect| matches!(effect, Effect::Post { .. })), "posted before it is stored");
        self.effects()
            .filter_map(|effect| match effect {
                Effect::Post { target, body, question, .. } => Some((target.clone(), *question, json_of(body))),
                _ => None,
            })
            .collect()
    }

    /// Requests that go downstream.
    pub(super) fn sent(&self) -> Vec<(CallId, Value)> {
        self.effects()
            .filter_map(|effect| match effect {
                Effect::Call { call, body, .. } => Some((*call, json_of(body))),
                _ => None,
            })
            .collect()
    }

    pub(super) fn resumed(&self) -> Vec<(CallId, String)> {
        self.effects()
            .filter_map(|effect| match effect {
                Effect::Resume { call, last_event_id, .. } => Some((*call, last_event_id.to_string())),
                _ => None,
            })
            .collect()
    }

    pub(super) fn opens(&self) -> Vec<(Arc<str>, u32)> {
        self.effects()
            .filter_map(|effect| match effect {
                Effect::OpenLink { target, generation, .. } => Some((target.clone(), generation.0)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.effects().any(wanted)
    }

    pub(super) fn reached(&self, bound: &str) -> bool {
        self.has(|effect| matches!(effect, Effect::BoundReached(reached) if *reached == bound))
    }

    pub(super) fn outcome(&self) -> &'static str {
        self.effects()
            .find_map(|effect| match effect {
                Effect::Finished(summary) => Some(summary.outcome),
                _ => None,
            })
            .unwrap_or("none")
    }

    pub(super) fn at(&self, wanted: impl Fn(&Effect) -> bool) -> usize {
        self.0.durable.iter().position(wanted).unwrap()
    }
}
