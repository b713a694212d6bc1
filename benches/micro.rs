//! Micro benches of what every call passes: envelope, event, route, a session's step, a commit, a signature.
//!
//! `cargo bench --bench micro`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::{Value, json};
use sessiongate::auth::sigv4::{
    AccessKeySpec, AccessKeys, Outbound, Policy, ReplayGuard, ReplaySettings, RequestParts, SERVICE, Signer, verify,
};
use sessiongate_actors::catalogue::{ListKind, Snapshot, TargetCatalogue, TargetState};
use sessiongate_actors::session::core::{
    CallId, ConnId, Effect, Env, Generation, Input, SessionCore, SessionFacts, Step,
};
use sessiongate_actors::settings::{Affinity, GatewaySettings, Listing, Naming, SessionSettings, TargetSettings};
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_protocol::{EventId, Message, RawJson, Request, RequestId, Revision, StreamId, jsonrpc, sse};
use sessiongate_storage::sled::{SledOptions, SledStore};
use sessiongate_storage::{Acquired, Batch, NodeId, Op, SessionKey, SessionStore, Timestamp};
use sessiongate_targets::{CallReply, LinkEvent, Origin, SavedLink, Welcome};

#[path = "micro/jwt.rs"]
mod jwt;
#[path = "micro/search.rs"]
mod search;

const START: Timestamp = Timestamp(1_800_000_000_000);

fn raw(value: &Value) -> RawJson {
    RawJson::parse(value.to_string()).unwrap_or(RawJson::EMPTY_OBJECT)
}

fn message(text: &Bytes) -> Message {
    match Message::parse(text) {
        Ok(message) => message,
        Err(error) => panic!("{error}"),
    }
}

/// A `tools/call` of 260 bytes.
fn small_request() -> Bytes {
    let mut text = "x".to_owned();
    loop {
        let params =
            json!({"name":"files___search","arguments":{"query":text,"limit":20},"_meta":{"progressToken":"p-17"}});
        let body = json!({"jsonrpc":"2.0","id":17,"method":"tools/call","params":params}).to_string();
        if body.len() >= 260 {
            return body.into();
        }
        text.push('x');
    }
}

/// A result of about 24 KB: forty blocks of text.
fn large_result() -> Bytes {
    let block = "A line of a file, with \"quotes\" and a\\ttab.\n".repeat(11);
    let content: Vec<Value> = (0..40).map(|_| json!({"type":"text","text":block})).collect();
    json!({"jsonrpc":"2.0","id":17,"result":{"content":content,"isError":false}}).to_string().into()
}

fn envelope(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope");
    for (name, body) in [("parse a request of 260 B", small_request()), ("parse a result of 24 KB", large_result())] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| message(black_box(&body))));
    }
    let Message::Response(response) = message(&large_result()) else { return };
    group.bench_function("write a result of 24 KB", |b| {
        b.iter(|| jsonrpc::response(black_box(&response).id.as_ref(), &response.body));
    });
}

fn sse_frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("sse");
    let id = EventId { stream: StreamId(7), seq: 42 };
    for (name, body) in [("encode 260 B", small_request()), ("encode 24 KB", large_result())] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| sse::message(black_box(id), black_box(&body))));
    }
}

fn settings() -> GatewaySettings {
    GatewaySettings {
        name: "bench".into(),
        naming: Naming::Prefixed,
        listing: Listing::Default,
        pagination: true,
        exceptions: Default::default(),
        max_name_length: None,
        search: false,
        sessions: SessionSettings::default(),
    }
}

/// `count` tools, a hundred of a target.
fn snapshot(settings: &GatewaySettings, count: usize) -> Snapshot {
    let target = |at: usize, tools: usize| {
        let tool = |tool: usize| {
            raw(
                &json!({"name":format!("tool-{tool}"),"description":"Does something.","inputSchema":{"type":"object","properties":{"q":{"type":"string"}}}}),
            )
        };
        let catalogue = TargetCatalogue {
            revision: "2025-11-25".into(),
            transport: "streamable-http".into(),
            capabilities: raw(&json!({"tools":{}})),
            server_info: raw(&json!({"name":"s","version":"1"})),
            instructions: None,
            tools: (0..tools).map(tool).collect(),
            prompts: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            caching: Default::default(),
            left_out: Vec::new(),
            synced_at: START,
            took_ms: 1,
        };
        let settings = TargetSettings {
            name: format!("target-{at}").into(),
            call_timeout: Duration::from_secs(60),
            resource_priority: 1000,
            required: false,
            affinity: Affinity::Principal,
            listing: None,
            tool_name: usize::MAX,
        };
        TargetState { settings, catalogue: Some(Arc::new(catalogue)) }
    };
    Snapshot::build(settings, (0..count.div_ceil(100)).map(|at| target(at, count.min(100))).collect())
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("catalogue of 1000 tools");
    let settings = settings();
    let snapshot = snapshot(&settings, 1000);
    group.bench_function("route a name", |b| {
        b.iter(|| snapshot.route_name(ListKind::Tools, black_box("target-7___tool-42")));
    });
    group.bench_function("a page", |b| b.iter(|| snapshot.page(ListKind::Tools, black_box(300))));
    group.sample_size(20);
    group.bench_function("build", |b| b.iter(|| self::snapshot(black_box(&settings), 1000)));
}

/// A session whose downstream session is open.
struct Session {
    core: SessionCore,
    settings: Arc<GatewaySettings>,
    catalogue: Arc<Snapshot>,
    sealer: Sealer,
    next: u64,
}

impl Session {
    fn open(settings: Arc<GatewaySettings>, catalogue: Arc<Snapshot>) -> Self {
        let facts = SessionFacts {
            gateway: "bench".into(),
            principal: "p".into(),
            revision: Revision::V2025_11_25,
            capabilities: raw(&json!({"elicitation":{"form":{}}})),
            client_info: raw(&json!({"name":"c","version":"1"})),
            created: START,
            max_name_length: None,
            via: None,
            conversation: false,
            transient: false,
            stateless: false,
        };
        let core = SessionCore::new(settings.clone(), facts, catalogue.hashes());
        let sealer = match Sealer::new(Key::new(1, [7; 32]), Vec::new()) {
            Ok(sealer) => sealer,
            Err(error) => panic!("{error}"),
        };
        let mut session = Self { core, settings, catalogue, sealer, next: 1 };
        let (call, _) = session.ask("tool-1");
        let result =
            json!({"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}});
        let welcome = Welcome { revision: Revision::V2025_11_25, result: raw(&result), transport: "streamable-http" };
        session.step(Input::LinkOpened {
            target: "target-0".into(),
            generation: Generation(1),
            welcome: Some(welcome),
            saved: Some(SavedLink { session_id: Some("s".into()), revision: "2025-11-25".into() }),
        });
        session.done(call);
        session
    }

    fn step(&mut self, input: Input) -> Step {
        let Self { core, settings, catalogue, sealer, .. } = self;
        core.step(input, &Env { now: START, settings, catalogue, sealer })
    }

    /// A call with a progress token; gives the downstream id too, once it is sent.
    fn ask(&mut self, tool: &str) -> (CallId, Option<i64>) {
        let call = CallId(self.next);
        self.next += 1;
        let params = format!(
            r#"{{"name":"target-0___{tool}","arguments":{{"q":"something to look for"}},"_meta":{{"progressToken":"p{}"}}}}"#,
            call.0
        );
        let Ok(params) = RawJson::parse(params) else { panic!("params") };
        let id = RequestId::integer(i64::try_from(call.0).unwrap_or_default());
        let request = Request { id, method: "tools/call".into(), params: Some(params) };
        let step = self.step(Input::Request { call, request, sse: true, log_level: None });
        let sent = step.now.iter().chain(&step.durable).find_map(|effect| match effect {
            Effect::Call { id, .. } => Some(*id),
            _ => None,
        });
        (call, sent)
    }

    fn done(&mut self, call: CallId) -> Step {
        let text = Bytes::from_static(
            br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}],"isError":false}}"#,
        );
        let Message::Response(response) = message(&text) else { panic!("response") };
        let result = Ok(CallReply { response, event_id: None });
        self.step(Input::CallDone { call, generation: Generation(1), result })
    }

    fn progress(&mut self, on: i64, value: u64) -> Step {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{on},"progress":{value}}}}}"#
        );
        let event = LinkEvent::Message { origin: Origin::Call(on), message: message(&text.into()), event_id: None };
        self.step(Input::Link { target: "target-0".into(), generation: Generation(1), event })
    }
}

fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    let settings = Arc::new(settings());
    let catalogue = Arc::new(snapshot(&settings, 1000));
    let open = || Session::open(settings.clone(), catalogue.clone());
    let mut session = open();
    group.bench_function("a tools/call and its result", |b| {
        b.iter(|| {
            let (call, _) = session.ask("tool-42");
            session.done(call)
        });
    });
    let mut session = open();
    group.bench_function("a tools/call, ten progress events and the result", |b| {
        b.iter(|| {
            let (call, sent) = session.ask("tool-42");
            let on = sent.unwrap_or_default();
            let mut stream = None;
            for value in 1..=10 {
                let step = session.progress(on, value);
                stream = stream.or_else(|| upgraded(&step));
                black_box(step);
            }
            black_box(session.done(call));
            // The connection ends with the stream; until then the log keeps it.
            stream.map(|stream| session.step(Input::ConnClosed { stream, conn: ConnId(call.0) }))
        });
    });
    group.bench_function("a new session, its first call and the downstream session", |b| b.iter(open));
}

/// The stream that the answer of a call became.
fn upgraded(step: &Step) -> Option<StreamId> {
    step.now.iter().chain(&step.durable).find_map(|effect| match effect {
        Effect::Upgrade(_, stream) => Some(*stream),
        _ => None,
    })
}

fn store(c: &mut Criterion) {
    let mut group = c.benchmark_group("store");
    group.sample_size(20);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let Ok(folder) = tempfile::tempdir() else { return };
    let store = match SledStore::open(&SledOptions::new(folder.path().join("store"))) {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    };
    let node = NodeId("bench".into());
    let acquire = store.acquire(SessionKey([1; 16]), &node, Duration::from_secs(60));
    let Ok(Acquired::Granted(lease)) = runtime.block_on(acquire) else { panic!("no lease") };
    let mut seq = 0;
    let mut append = move || {
        seq += 1;
        let mut batch = Batch::default();
        let frame = Bytes::from_static(&[b'x'; 300]);
        batch.push(Op::Append { stream: StreamId(1), seq, at: START, frame });
        if seq > 100 {
            batch.push(Op::Trim { stream: StreamId(1), through: seq - 100 });
        }
        batch
    };
    group.bench_function("commit one event of 300 B (process-crash)", |b| {
        b.iter(|| runtime.block_on(store.commit(&lease, append())));
    });
    group.bench_function("32 commits at once", |b| {
        b.iter(|| {
            let commits: Vec<_> = (0..32).map(|_| store.commit(&lease, append())).collect();
            runtime.block_on(futures_util::future::join_all(commits))
        });
    });
}

/// A `tools/call` signed as botocore would, and what it costs to find out that it is.
fn sigv4(c: &mut Criterion) {
    let mut group = c.benchmark_group("sigv4");
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(START.0);
    let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let spec = AccessKeySpec {
        access_key_id: "AKIDEXAMPLE".into(),
        secret: secret.clone(),
        session_token: None,
        principal_arn: "arn:aws:iam::123456789012:user/bench".into(),
        account: "123456789012".into(),
        permissions: Vec::new(),
    };
    let (Ok(keys), Ok(url)) = (AccessKeys::new([spec]), "http://127.0.0.1:8080/gateways/demo-abcdefghij/mcp".parse())
    else {
        return;
    };
    let policy = Policy::default();
    for (name, body, access_key_id) in [
        ("verify a call of 260 B", small_request(), "AKIDEXAMPLE"),
        ("verify a call of 24 KB", large_result(), "AKIDEXAMPLE"),
        ("refuse an unknown key, 260 B", small_request(), "AKIDNOBODY"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert("mcp-session-id", HeaderValue::from_static("b1946ac9-2f1c-4f0e-9f5e-3a1d5d1c2b7a"));
        let signer = Signer::new(access_key_id, &secret, None, "us-east-1", SERVICE);
        match signer.sign(&Outbound { method: "POST", url: &url, headers: &headers, body: &body }, now) {
            Ok(signed) => headers.extend(signed),
            Err(error) => panic!("{error}"),
        }
        headers.insert("user-agent", HeaderValue::from_static("bench"));
        let request = || RequestParts {
            method: "POST",
            raw_path: url.path(),
            raw_query: "",
            headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
            authority: "127.0.0.1:8080",
            body: &body,
        };
        let good = access_key_id == "AKIDEXAMPLE";
        assert_eq!(verify(&keys, &policy, request(), now).is_ok(), good);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| b.iter(|| verify(&keys, &policy, black_box(request()), now).is_ok()));
        if name == "verify a call of 260 B" {
            let guard = ReplayGuard::new(ReplaySettings { grace: Duration::MAX, ..ReplaySettings::default() });
            let verified = verify(&keys, &policy, request(), now);
            let Ok(verified) = verified else { return };
            group.bench_function("find a repetition", |b| b.iter(|| guard.admit(black_box(&verified), now).is_ok()));
        }
    }
}

criterion_group!(benches, envelope, jwt::verify, sse_frame, route, search::search, session, store, sigv4);
criterion_main!(benches);
