//! Asks the targets to tell. The client waits only a moment for it: a target may be slow, or down for now.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use sessiongate_actors::SessionError;
use sessiongate_actors::session::{CallAnswer, SessionHandle};
use sessiongate_protocol::cursor::{Cursor, CursorScope, ListKind};
use sessiongate_protocol::{Message, RawJson, Request, RequestId, ResponseBody, codes, jsonrpc};
use sessiongate_targets::Passed;
use tokio::sync::mpsc;

use super::filter::Filter;
use crate::gateway::Served;

/// Requests at once to one target.
const AT_ONCE: usize = 4;
/// Between two attempts, the first and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The targets have their own deadlines; this one is only for the session itself.
const QUIET: Duration = Duration::from_secs(5);

/// Something that a target is asked.
struct Wish {
    method: &'static str,
    params: RawJson,
    /// The resource; none for a list.
    uri: Option<Box<str>>,
}

/// What came of asking.
enum Outcome {
    Done,
    /// It may work later.
    Later,
    /// It will not.
    Never,
}

/// What the stream and those who ask for it tell each other.
pub struct Telling {
    /// Resources that are watched since the client was told that they are: they may have changed in between.
    pub late: mpsc::Sender<Box<str>>,
    /// The client was told.
    pub acknowledged: Arc<AtomicBool>,
    /// Closed when everything was asked for once.
    pub asked: mpsc::Sender<Infallible>,
    /// What goes along with what the targets are asked.
    pub passed: Option<Arc<Passed>>,
}

/// Asks until everything that can be had is.
pub async fn ask(served: Arc<Served>, session: Arc<SessionHandle>, filter: Arc<Filter>, telling: Telling) {
    let groups = wishes(&served, &session, &filter);
    let Telling { late, acknowledged, asked, passed } = telling;
    let passed = passed.as_ref();
    let asking =
        groups.into_values().map(|group| until_done(&session, group, passed, &late, &acknowledged, asked.clone()));
    let asking: Vec<_> = asking.collect();
    drop(asked);
    join_all(asking).await;
}

/// By target: one that does not answer keeps no other waiting.
fn wishes(served: &Served, session: &SessionHandle, filter: &Filter) -> BTreeMap<Arc<str>, Vec<Wish>> {
    let catalogue = served.gateway.catalogue();
    let mut wishes: BTreeMap<Arc<str>, Vec<Wish>> = BTreeMap::new();
    for (target, uris) in filter.resources(&catalogue) {
        let wish = |uri: Box<str>| {
            let params = RawJson::from_serialize(&serde_json::json!({"uri": uri})).ok()?;
            Some(Wish { method: "resources/subscribe", params, uri: Some(uri) })
        };
        wishes.insert(target, uris.into_iter().filter_map(wish).collect());
    }
    // Nobody else looks at these lists: a target tells those who have a session there.
    for target in catalogue.targets().iter().map(|target| &target.settings.name) {
        let offered = |list: &ListKind| catalogue.is_live(target) && catalogue.capabilities_of(target).offers(*list);
        if let Some(wish) = filter.lists().find(offered).and_then(|list| look(served, session, list, target)) {
            wishes.entry(target.clone()).or_default().push(wish);
        }
    }
    wishes
}

/// The first page of a target's own list.
fn look(served: &Served, session: &SessionHandle, list: ListKind, target: &str) -> Option<Wish> {
    let gateway = &served.gateway;
    let scope = CursorScope { gateway: &gateway.name, principal: session.principal().as_bytes(), list };
    let cursor = Cursor::Downstream { list, target: target.to_owned(), cursor: None };
    let cursor = cursor.seal(&gateway.sealer, scope).ok()?;
    let params = RawJson::from_serialize(&serde_json::json!({"cursor": cursor})).ok()?;
    Some(Wish { method: list.method(), params, uri: None })
}

async fn until_done(
    session: &SessionHandle,
    mut group: Vec<Wish>,
    passed: Option<&Arc<Passed>>,
    late: &mpsc::Sender<Box<str>>,
    acknowledged: &AtomicBool,
    asked: mpsc::Sender<Infallible>,
) {
    let mut asked = Some(asked);
    let mut pause = AGAIN.0;
    let mut attempt = 0;
    loop {
        let asking = group.into_iter().map(async |wish: Wish| (once(session, &wish, passed, attempt).await, wish));
        let outcomes: Vec<(Outcome, Wish)> = stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
        asked = asked.and(None);
        let told = attempt > 0 || acknowledged.load(Ordering::Relaxed);
        group = Vec::new();
        for (outcome, wish) in outcomes {
            match (outcome, wish) {
                // As many places as resources: it is never full.
                (Outcome::Done, Wish { uri: Some(uri), .. }) if told => drop(late.try_send(uri)),
                (Outcome::Later, wish) => group.push(wish),
                _ => {}
            }
        }
        if group.is_empty() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
        attempt += 1;
    }
}

async fn once(session: &SessionHandle, wish: &Wish, passed: Option<&Arc<Passed>>, attempt: u32) -> Outcome {
    let uri = wish.uri.as_deref();
    let id = RequestId::string(&format!("{} {attempt} {}", wish.method, wish.params.as_str()));
    let request = Request { id, method: wish.method.into(), params: Some(wish.params.clone()) };
    let answer = match session.request_with(request, false, None, passed.cloned()) {
        Ok(pending) => pending.answer(QUIET).await,
        Err(error) => Err(error),
    };
    let body = match answer {
        Ok(CallAnswer::Refused { status: 429 | 503, .. }) => return Outcome::Later,
        Ok(CallAnswer::Json(body) | CallAnswer::Refused { body, .. }) => body,
        Err(SessionError::Overloaded | SessionError::Bound { .. }) => return Outcome::Later,
        // The session is gone, and with it who would hear.
        Ok(CallAnswer::Stream(_) | CallAnswer::Cancelled) | Err(_) => return Outcome::Never,
    };
    let Ok(Message::Response(response)) = Message::parse(&body) else { return Outcome::Never };
    let ResponseBody::Error(error) = response.body else { return Outcome::Done };
    let shape = error.borrow::<jsonrpc::ErrorShape<'_>>().ok();
    let code = shape.map(|shape| shape.code).unwrap_or_default();
    let never = [codes::INVALID_PARAMS, codes::INVALID_REQUEST, codes::METHOD_NOT_FOUND, codes::RESOURCE_NOT_FOUND]
        .contains(&code);
    tracing::warn!(
        session = %session.key(),
        method = wish.method,
        uri,
        code,
        again = !never,
        "a target does not tell a listening client"
    );
    if never { Outcome::Never } else { Outcome::Later }
}
