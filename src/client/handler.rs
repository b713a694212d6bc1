//! What the client does when the server speaks first.

#![expect(deprecated, reason = "log messages are on their way out, and spoken in both eras until then")]

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestMethod, CreateMessageRequestParams, CreateMessageResult,
        CustomNotification, CustomRequest, CustomResult, ElicitRequestParams, ElicitResult, ErrorCode, Implementation,
        ListRootsRequestMethod, ListRootsResult, LoggingLevel, LoggingMessageNotificationParam,
        ProgressNotificationParam, ProtocolVersion, RequestMetaObject,
    },
    service::{NotificationContext, Peer, RequestContext},
};
use serde_json::{Value, json};
use sessiongate_protocol::json::RawJson;

use super::{
    console::{Console, printable},
    question::Asker,
};

/// Shows progress and log lines, and asks the server's questions.
#[derive(Clone)]
pub struct Person {
    /// Where to show them.
    pub console: Console,
    /// Who asks.
    pub asker: Asker,
}

/// Whether the two speak 2026-07-28 or later.
pub fn is_modern(peer: &Peer<RoleClient>) -> bool {
    peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
}

/// What a modern request asks for besides its answer: without a level there are no log lines.
pub fn wishes() -> RequestMetaObject {
    let mut meta = RequestMetaObject::default();
    meta.set_log_level(LoggingLevel::Info);
    meta
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let capabilities: ClientCapabilities =
            serde_json::from_value(json!({"elicitation": {"form": {}, "url": {}}})).unwrap_or_default();
        // The revision is the one that `initialize` asks for; `server/discover` has no use for it.
        ClientConfig::new(capabilities, Implementation::new("sessiongate-call", env!("CARGO_PKG_VERSION")))
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        if is_modern(&context.peer) {
            // The answer goes with a new request, whose progress may begin anew.
            self.console.restart_progress();
        }
        match request {
            ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
                let schema = serde_json::to_string(&requested_schema)
                    .and_then(RawJson::parse)
                    .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
                Ok(self.asker.form(&message, schema).await.into())
            }
            ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
                Ok(self.asker.page(&message, &url).await.into())
            }
            _ => Err(ErrorData::invalid_params("this mode of elicitation was not declared", None)),
        }
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.console.note("the server asks for a language model, and this client offers none");
        Err(ErrorData::method_not_found::<CreateMessageRequestMethod>())
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.console.note("the server asks for folders, and this client offers none");
        Err(ErrorData::method_not_found::<ListRootsRequestMethod>())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleClient>,
    ) -> Result<CustomResult, ErrorData> {
        // A question lands here if its params do not fit the SDK's types: another mode, or a schema of another shape.
        if request.method == "elicitation/create" {
            self.console.note("a question was refused, because it is not one that a form or a page could ask");
            return Err(ErrorData::invalid_params("the question fits neither form nor URL mode", None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.console.progress(params.progress, params.total, params.message.as_deref());
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        let level = serde_json::to_value(params.level).unwrap_or_default();
        let logger = params.logger.map(|logger| format!(" {}", printable(&logger))).unwrap_or_default();
        let data = match &params.data {
            Value::String(text) => printable(text).into_owned(),
            other => other.to_string(),
        };
        self.console.note(&format!("[{}{logger}] {data}", level.as_str().unwrap_or("log")));
    }

    async fn on_custom_notification(&self, notification: CustomNotification, _: NotificationContext<RoleClient>) {
        if notification.method == "notifications/elicitation/complete" {
            self.console.note("the visit of the page is complete");
        }
    }
}
