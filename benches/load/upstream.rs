//! The MCP server behind everything: as little work a call as can be, in a process of its own. It is ours and not an
//! SDK's, so that its latency does not hide the gateway's.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::{Result, issuer};

/// Says to this program that it is to be the upstream.
pub const ROLE: &str = "SESSIONGATE_BENCH_UPSTREAM";
/// Progress events of a call of `progress10`.
pub const EVENTS: u64 = 10;

const TOOLS: &str = concat!(
    r#"{"tools":[{"name":"echo","description":"Says it back.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}},"#,
    r#"{"name":"ask","description":"Asks for a name.","inputSchema":{"type":"object"}},"#,
    r#"{"name":"progress10","description":"Reports progress ten times.","inputSchema":{"type":"object"}}]}"#
);

/// Begins each result of 2026-07-28.
const COMPLETE: &str = r#""resultType":"complete""#;
const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":600000,"cacheScope":"public"}"#;

static SESSIONS: AtomicU64 = AtomicU64::new(0);
static QUESTIONS: AtomicU64 = AtomicU64::new(1);
/// Calls that wait for an answer, by the id of their question.
static WAITING: Mutex<BTreeMap<u64, oneshot::Sender<()>>> = Mutex::new(BTreeMap::new());

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    name: &'a str,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    _meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    progress_token: Option<&'a RawValue>,
}

/// Whether this process was started as the upstream.
pub fn is_wanted() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Serves until stdin ends, which it does when the bench is gone. Prints its address first.
pub fn run() -> Result<()> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new()
                .configure(issuer::pages)
                .route("/mcp", web::post().to(|body| post(body, false)))
                .route("/modern", web::post().to(|body| post(body, true)))
                .route("/mcp", web::delete().to(delete))
                .route("/mcp", web::get().to(|| async { HttpResponse::MethodNotAllowed().finish() }))
        })
        .workers(1)
        .backlog(4096)
        .keep_alive(Duration::from_secs(3600))
        .client_request_timeout(Duration::ZERO)
        .tcp_nodelay(true)
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
        println!("{}", server.addrs().first().ok_or("no address")?);
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
        server.run().await?;
        Ok(())
    })
}

async fn delete() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// `modern`: as a server of 2026-07-28 answers.
async fn post(body: Bytes, modern: bool) -> HttpResponse {
    let Ok(incoming) = serde_json::from_slice::<Incoming<'_>>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let (Some(id), Some(method)) = (incoming.id, incoming.method) else {
        if let Some(id) = incoming.id {
            answered(id.get());
        }
        return HttpResponse::Accepted().finish();
    };
    let id = id.get();
    match method {
        "initialize" => {
            let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
            let result = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}"#;
            HttpResponse::Ok()
                .insert_header(("mcp-session-id", format!("bench-{session:026}")))
                .content_type("application/json")
                .body(response(id, result))
        }
        "server/discover" if modern => json(response(id, DISCOVERED)),
        "tools/list" if modern => json(response(id, &format!("{{{COMPLETE},{}", &TOOLS[1..]))),
        "tools/list" => json(response(id, TOOLS)),
        "tools/call" => {
            let Some(Ok(call)) = incoming.params.map(|params| serde_json::from_str::<ToolCall<'_>>(params.get()))
            else {
                return HttpResponse::BadRequest().finish();
            };
            match call.name {
                "ask" => ask(id),
                "progress10" => progress(id, call._meta.and_then(|meta| meta.progress_token)),
                _ => {
                    let said = call.arguments.map_or("{}", RawValue::get);
                    let kind = if modern { format!("{COMPLETE},") } else { String::new() };
                    let result = format!(
                        r#"{{{kind}"content":[{{"type":"text","text":"done"}}],"structuredContent":{said},"isError":false}}"#
                    );
                    json(response(id, &result))
                }
            }
        }
        _ => json(response(id, "{}")),
    }
}

/// Asks the person and waits for the answer, with events that could be resumed.
fn ask(id: &str) -> HttpResponse {
    let number = QUESTIONS.fetch_add(1, Ordering::Relaxed);
    let (answer, answered) = oneshot::channel();
    if let Ok(mut waiting) = WAITING.lock() {
        waiting.insert(number, answer);
    }
    let question = format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"elicitation/create","params":{{"mode":"form","message":"Who?","requestedSchema":{{"type":"object","properties":{{"name":{{"type":"string"}}}},"required":["name"]}}}}}}"#
    );
    let end = response(id, r#"{"content":[{"type":"text","text":"done"}],"isError":false}"#);
    let event = move |at: u8, data: &str| {
        Ok::<_, Infallible>(Bytes::from(format!("id: {number}-{at}\nevent: message\ndata: {data}\n\n")))
    };
    let frames =
        futures_util::stream::once(async move { event(0, &question) }).chain(futures_util::stream::once(async move {
            let _ = answered.await;
            event(1, &end)
        }));
    HttpResponse::Ok().content_type("text/event-stream").insert_header(("cache-control", "no-cache")).streaming(frames)
}

/// The call that asked goes on.
fn answered(id: &str) {
    let waiting = id.parse().ok().and_then(|number: u64| WAITING.lock().ok()?.remove(&number));
    if let Some(waiting) = waiting {
        let _ = waiting.send(());
    }
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}

fn response(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// Ten events and the result, each written by itself, as by a server that works between them.
fn progress(id: &str, token: Option<&RawValue>) -> HttpResponse {
    let mut frames: Vec<String> = Vec::new();
    for at in 1..=EVENTS {
        if let Some(token) = token {
            frames.push(format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":{at},"total":{EVENTS}}}}}"#,
                token.get()
            ));
        }
    }
    frames.push(response(id, r#"{"content":[{"type":"text","text":"done"}]}"#));
    let frames = futures_util::stream::unfold(frames.into_iter(), |mut frames| async move {
        // The connection writes what it has whenever the body is not ready.
        tokio::task::yield_now().await;
        let frame = frames.next()?;
        Some((Ok::<_, Infallible>(Bytes::from(format!("event: message\ndata: {frame}\n\n"))), frames))
    });
    HttpResponse::Ok().content_type("text/event-stream").insert_header(("cache-control", "no-cache")).streaming(frames)
}
