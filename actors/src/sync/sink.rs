//! What a target says on the catalogue's own session.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::{Message, RawJson, ResponseBody, codes, jsonrpc};
use sessiongate_targets::{Link, LinkEvent, LinkSink, SinkClosed};
use tokio::sync::mpsc;

/// For an answer of the gateway's own.
const POST_DEADLINE: Duration = Duration::from_secs(10);

/// Something that the synchronisation should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A list changed.
    Changed,
    /// The session is over.
    Closed,
}

/// Listens for changes, and answers what a target asks outside any client's call: there is nobody to ask.
pub(super) struct CatalogueSink {
    pub(super) heard: mpsc::Sender<Heard>,
    /// Set once the link is open; weak, because the link holds its sink.
    pub(super) link: OnceLock<Weak<dyn Link>>,
}

#[async_trait]
impl LinkSink for CatalogueSink {
    async fn deliver(&self, event: LinkEvent) -> Result<(), SinkClosed> {
        match event {
            LinkEvent::Closed { .. } => {
                let _ = self.heard.try_send(Heard::Closed);
            }
            LinkEvent::Message { message: Message::Notification(notification), .. } => {
                if ListKind::of_changed_method(&notification.method).is_some() {
                    // Full means that it is known already.
                    let _ = self.heard.try_send(Heard::Changed);
                }
            }
            LinkEvent::Message { message: Message::Request(request), .. } => {
                let result = |text: &'static str| RawJson::parse(text).map(ResponseBody::Result).ok();
                let body = match &*request.method {
                    "ping" => result("{}"),
                    "roots/list" => result(r#"{"roots":[]}"#),
                    "elicitation/create" => result(r#"{"action":"cancel"}"#),
                    _ => None,
                }
                .unwrap_or_else(|| jsonrpc::error_body(codes::METHOD_NOT_FOUND, "nobody can be asked here", None));
                let body = jsonrpc::response(Some(&request.id), &body);
                if let Some(link) = self.link.get().and_then(Weak::upgrade) {
                    // Not awaited here: the link may be reading the stream that this came on.
                    tokio::spawn(async move {
                        let _ = link.post(body, Instant::now() + POST_DEADLINE).await;
                    });
                }
            }
            LinkEvent::Message { .. } | LinkEvent::Position { .. } => {}
        }
        if self.heard.is_closed() { Err(SinkClosed) } else { Ok(()) }
    }
}

/// A sink and what it hears.
pub(super) fn catalogue_sink() -> (Arc<CatalogueSink>, mpsc::Receiver<Heard>) {
    let (heard, hearing) = mpsc::channel(8);
    (Arc::new(CatalogueSink { heard, link: OnceLock::new() }), hearing)
}
