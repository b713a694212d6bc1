//! Which arguments of which tool travel as `Mcp-Param-*` headers, for everybody who calls one target: links, and requests
//! that are passed through.
//!
//! A target that says that the headers of a call do not fit (-32020) knows its tool in another version than the gateway:
//! the tools are read again and the call is sent once more (2026-07-28, transports; mcp-protocol 4.2).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::RwLock;
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::param_headers::ParamHeaders;
use sessiongate_protocol::{Notification, RawJson, Response, ResponseBody, codes};
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use super::{Exchange, ModernRequest, NoteSink};
use crate::error::TargetError;
use crate::link::SinkClosed;
use crate::passed::Passed;

/// The method whose results are learnt from.
pub(super) const LIST: &str = "tools/list";
const CALL: &str = "tools/call";
/// Pages of tools that are read.
const MAX_PAGES: usize = 100;
/// Tools with such arguments that are remembered.
const MAX_TOOLS: usize = 10_000;
/// For reading the tools again, whatever time the call has left.
const REFRESH_TIME: Duration = Duration::from_secs(30);

/// The header parameters of one target's tools, learnt from every `tools/list` of whoever asks: the catalogue's
/// synchronisation fills it before the first call.
#[derive(Default)]
struct ToolSchemas {
    /// Tools without such arguments are not in here.
    tools: RwLock<HashMap<Box<str>, ParamHeaders>>,
    /// They were read to the end.
    read: AtomicBool,
    /// Or that was tried.
    tried: AtomicBool,
}

/// An exchange whose lists of tools are learnt from, and whose calls have the headers that were learnt.
pub(super) struct Learning {
    exchange: Arc<dyn Exchange>,
    tools: ToolSchemas,
    /// One reads at a time; whether the last one came to the end.
    refreshing: Mutex<bool>,
    /// Counts them.
    refreshes: AtomicU64,
}

/// Takes notifications that nobody wants.
pub(super) struct Unheard;

type Exchanged<'a> = Pin<Box<dyn Future<Output = Result<Response, TargetError>> + Send + 'a>>;

// === impl Learning ===

impl Learning {
    pub(super) fn new(exchange: Arc<dyn Exchange>) -> Self {
        Self { exchange, tools: ToolSchemas::default(), refreshing: Mutex::default(), refreshes: AtomicU64::new(0) }
    }

    /// Nobody has seen the tools of this target yet.
    pub(super) fn wants_listing(&self) -> bool {
        !self.tools.tried.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn listed(&self) {
        self.tools.tried.store(true, Ordering::Release);
    }

    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.tools.tried.store(false, Ordering::Release);
    }

    /// Reads the tools under the envelope of these `params`; whether that came to the end. Who asks while they are read
    /// has what the next reading brings, which serves all that ask until then.
    pub(super) async fn refresh(&self, params: &RawJson, deadline: Instant) -> bool {
        let asked = self.refreshes.load(Ordering::Acquire);
        let deadline = tokio::time::Instant::from_std(deadline).min(tokio::time::Instant::now() + REFRESH_TIME);
        let Ok(mut done) = timeout_at(deadline, self.refreshing.lock()).await else { return false };
        if self.refreshes.load(Ordering::Acquire) == asked {
            self.refreshes.fetch_add(1, Ordering::AcqRel);
            *done = false;
            *done = self.read(params, deadline.into_std()).await;
            self.tools.tried.store(true, Ordering::Release);
        }
        *done
    }

    async fn read(&self, params: &RawJson, deadline: Instant) -> bool {
        let Some(meta) = meta_of(params) else { return false };
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let Some(params) = page_params(&meta, cursor.as_deref()) else { return false };
            let request =
                ModernRequest { method: LIST.into(), params, name: None, param_headers: Vec::new(), passed: None };
            let answer = self.list(request, &Unheard, deadline).await;
            let Ok(Response { body: ResponseBody::Result(result), .. }) = answer else { return false };
            cursor = next_cursor(&result);
            if cursor.is_none() {
                return true;
            }
        }
        false
    }

    async fn list(
        &self,
        request: ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        let response = self.exchange.exchange(request, notes, deadline).await?;
        if let ResponseBody::Result(result) = &response.body {
            self.tools.learn(result);
        }
        Ok(response)
    }

    async fn call(
        &self,
        mut request: ModernRequest,
        notes: &dyn NoteSink,
        deadline: Instant,
    ) -> Result<Response, TargetError> {
        self.tools.apply(&mut request);
        // The rest of the request can be made again: nearly all calls are sent once.
        let (params, passed) = (request.params.clone(), request.passed.clone());
        let response = self.exchange.exchange(request, notes, deadline).await?;
        if !refuses_headers(&response) {
            return Ok(response);
        }
        tracing::debug!("the target does not accept the headers of a call: its tools are read again");
        match Box::pin(self.refresh(&params, deadline)).await {
            // It was refused before it was executed.
            true => self.exchange.exchange(self.tools.call(params, passed), notes, deadline).await,
            false => Ok(response),
        }
    }
}

impl Exchange for Learning {
    // Written out, so that what is only handed on has one future and not two.
    fn exchange<'a, 'b, 'c>(
        &'a self,
        request: ModernRequest,
        notes: &'b dyn NoteSink,
        deadline: Instant,
    ) -> Exchanged<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        match &*request.method {
            CALL => Box::pin(self.call(request, notes, deadline)),
            LIST => Box::pin(self.list(request, notes, deadline)),
            _ => self.exchange.exchange(request, notes, deadline),
        }
    }
}

// === impl ToolSchemas ===

impl ToolSchemas {
    fn learn(&self, result: &RawJson) {
        let Ok(members) = Members::of(result) else { return };
        for tool in tools_of(&members).unwrap_or_default() {
            self.learn_one(&tool);
        }
        if next_cursor(result).is_none() {
            self.read.store(true, Ordering::Release);
            self.tried.store(true, Ordering::Release);
        }
    }

    fn learn_one(&self, tool: &RawJson) {
        let Some(name) = name_of(tool) else { return };
        if let Ok(Some(headers)) = ParamHeaders::of_tool(tool) {
            let mut tools = self.tools.write();
            if tools.len() < MAX_TOOLS || tools.contains_key(&*name) {
                tools.insert(name, headers);
            }
        } else if self.tools.read().contains_key(&*name) {
            // Most tools have none: no writer is needed for them.
            self.tools.write().remove(&*name);
        }
    }

    /// The headers that a call has by what was learnt, in place of those that it came with; where nothing was learnt of
    /// its tool, it keeps them.
    fn apply(&self, request: &mut ModernRequest) {
        let tools = self.tools.read();
        match request.name.as_ref().and_then(|name| tools.get(name)) {
            Some(headers) => {
                let members = Members::of(&request.params).ok();
                let arguments =
                    members.and_then(|members| RawJson::parse(members.get("arguments")?.get().to_owned()).ok());
                request.param_headers = headers.derive(arguments.as_ref());
            }
            None if tools.len() < MAX_TOOLS && self.read.load(Ordering::Acquire) => request.param_headers.clear(),
            None => {}
        }
    }

    /// A call, from its parameters.
    fn call(&self, params: RawJson, passed: Option<Arc<Passed>>) -> ModernRequest {
        let mut request =
            ModernRequest { name: name_of(&params), method: CALL.into(), params, param_headers: Vec::new(), passed };
        self.apply(&mut request);
        request
    }
}

// === impl Unheard ===

#[async_trait]
impl NoteSink for Unheard {
    async fn note(&self, _: Notification) -> Result<(), SinkClosed> {
        Ok(())
    }
}

// === messages ===

/// The envelope of a request for one that reports no progress.
fn meta_of(params: &RawJson) -> Option<RawJson> {
    let members = Members::of(params).ok()?;
    Some(Members::of_str(members.get("_meta")?.get()).ok()?.with(&[("progressToken", None)]))
}

fn page_params(meta: &RawJson, cursor: Option<&str>) -> Option<RawJson> {
    let cursor = cursor.map(serde_json::to_string).transpose().ok()?;
    let members = [("cursor", cursor.as_deref()), ("_meta", Some(meta.as_str()))];
    Some(Members::of(&RawJson::EMPTY_OBJECT).ok()?.with(&members))
}

/// The tools of a page.
pub(super) fn tools_of(members: &Members<'_>) -> Option<Vec<RawJson>> {
    serde_json::from_str(members.get("tools")?.get()).ok()
}

/// The `name` of a tool, or of a call.
pub(super) fn name_of(object: &RawJson) -> Option<Box<str>> {
    Members::of(object).ok()?.get_str("name").map(|name| name.as_ref().into())
}

/// An empty cursor is a cursor.
fn next_cursor(result: &RawJson) -> Option<String> {
    Members::of(result).ok()?.get_str("nextCursor").map(std::borrow::Cow::into_owned)
}

fn refuses_headers(response: &Response) -> bool {
    let ResponseBody::Error(error) = &response.body else { return false };
    error.borrow::<ErrorShape<'_>>().is_ok_and(|shape| shape.code == codes::HEADER_MISMATCH)
}
