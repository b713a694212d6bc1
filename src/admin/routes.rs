//! What can be asked.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpResponse, Responder};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use sessiongate_actors::session::core::{EndReason, Record, SessionView};
use sessiongate_storage::{SessionKey, SessionSummary};

use super::find::{Found, find, stored_page};
use crate::gateway::Runtime;

/// Sessions that are looked at at once.
const VIEWS_AT_ONCE: usize = 64;

/// A session in a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionLine {
    /// Its key: not its id, which is a secret.
    pub key: String,
    /// Its gateway.
    pub gateway: String,
    /// Who owns it, hashed.
    pub principal: String,
    /// Name and version that the client gave.
    pub client: String,
    /// The negotiated revision.
    pub revision: String,
    /// When it began, in milliseconds since 1970.
    pub created: u64,
    /// When it ends at the latest.
    pub expires: u64,
    /// In memory; else stored.
    pub live: bool,
    /// Requests that run.
    pub calls: usize,
    /// Streams with a connection.
    pub open_streams: usize,
    /// Questions that wait for the person.
    pub pending_questions: usize,
    /// Targets with an open downstream session.
    pub targets: Vec<String>,
}

/// Some sessions in the order of their keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionPage {
    /// These.
    pub sessions: Vec<SessionLine>,
    /// The key after which there may be more.
    pub next: Option<String>,
}

/// What came of a synchronisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncLine {
    /// The gateway.
    pub gateway: String,
    /// The target.
    pub target: String,
    /// It worked.
    pub ok: bool,
    /// Why not.
    pub error: Option<String>,
    /// What the target offers: tools, prompts, resources with templates.
    pub tools: usize,
    /// Prompts.
    pub prompts: usize,
    /// Resources and templates.
    pub resources: usize,
    /// What it lists and clients are not shown, for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Box<str>>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Which {
    gateway: Option<String>,
    target: Option<String>,
}

// === impl SessionLine ===

impl SessionLine {
    /// A stored session; none if its record cannot be read.
    pub fn stored(summary: &SessionSummary) -> Option<Self> {
        let record = Record::parse(&summary.record).ok()?;
        Some(Self {
            key: summary.key.to_hex(),
            gateway: record.facts.gateway.to_string(),
            principal: record.facts.principal.to_string(),
            client: record.facts.client_label(),
            revision: record.facts.revision.as_str().to_owned(),
            created: record.facts.created.0,
            expires: summary.expires.0,
            live: false,
            calls: 0,
            open_streams: 0,
            pending_questions: 0,
            targets: Vec::new(),
        })
    }

    fn add(&mut self, view: SessionView) {
        self.live = true;
        self.calls = view.calls;
        self.open_streams = view.open_streams;
        self.pending_questions = view.pending_questions;
        self.targets = view.targets.iter().map(ToString::to_string).collect();
    }
}

pub(super) async fn list(runtime: Data<Runtime>, from: Query<After>) -> HttpResponse {
    let after = from.after.as_deref().and_then(SessionKey::from_hex);
    let (stored, next) = match stored_page(&**runtime.sessions(), after).await {
        Ok(page) => page,
        Err(error) => return HttpResponse::ServiceUnavailable().body(error.to_string()),
    };
    let directory = runtime.directory();
    let lines = stored.iter().filter_map(|summary| Some((summary.key, SessionLine::stored(summary)?)));
    let sessions = futures_util::stream::iter(lines)
        .map(|(key, mut line)| async move {
            if let Some(view) = directory.view(key).await {
                line.add(view);
            }
            line
        })
        .buffered(VIEWS_AT_ONCE)
        .collect()
        .await;
    HttpResponse::Ok().json(SessionPage { sessions, next: next.map(SessionKey::to_hex) })
}

pub(super) async fn end(runtime: Data<Runtime>, beginning: Path<String>) -> HttpResponse {
    let found = match find(&**runtime.sessions(), &beginning).await {
        Ok(found) => found,
        Err(error) => return HttpResponse::ServiceUnavailable().body(error.to_string()),
    };
    let key = match found {
        Found::One(key) => key,
        Found::Nothing | Found::Several => return HttpResponse::NotFound().body(found.refusal(&beginning)),
    };
    match runtime.directory().end(key, EndReason::Administrator).await {
        Ok(true) => HttpResponse::NoContent().finish(),
        Ok(false) => HttpResponse::NotFound().body(Found::Nothing.refusal(&beginning)),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

pub(super) async fn sync(runtime: Data<Runtime>, which: Query<Which>) -> HttpResponse {
    let mut lines = Vec::new();
    for supervisor in runtime.supervisors() {
        let gateway = supervisor.gateway().name.clone();
        if which.gateway.as_deref().is_some_and(|wanted| wanted != &*gateway) {
            continue;
        }
        for (target, outcome) in supervisor.sync(which.target.as_deref()).await {
            let catalogue = outcome.as_ref().ok();
            lines.push(SyncLine {
                gateway: gateway.to_string(),
                target: target.to_string(),
                ok: outcome.is_ok(),
                error: outcome.as_ref().err().map(ToString::to_string),
                tools: catalogue.map_or(0, |catalogue| catalogue.tools.len()),
                prompts: catalogue.map_or(0, |catalogue| catalogue.prompts.len()),
                resources: catalogue.map_or(0, |catalogue| catalogue.resources.len() + catalogue.templates.len()),
                left_out: catalogue.map(|catalogue| catalogue.left_out.clone()).unwrap_or_default(),
                took_ms: catalogue.map_or(0, |catalogue| catalogue.took_ms),
            });
        }
    }
    if lines.is_empty() {
        return HttpResponse::NotFound().body("no such gateway or target");
    }
    HttpResponse::Ok().json(lines)
}

pub(super) async fn targets(runtime: Data<Runtime>) -> impl Responder {
    HttpResponse::Ok().json(runtime.readiness().await)
}
