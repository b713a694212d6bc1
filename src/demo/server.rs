//! The tea house as an MCP handler.

#![expect(deprecated, reason = "log messages are the 2025 wire, which the demonstration shows")]

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CustomNotification, ElicitRequestParams, ElicitResult,
        ErrorCode, GetPromptRequestParams, GetPromptResponse, GetPromptResult, JsonObject, ListPromptsResult,
        ListResourcesResult, ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
        ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerConfig,
        ServerNotification, SetLevelRequestParams,
    },
    service::{RequestContext, ServiceError},
    transport::stdio,
};
use serde_json::{Value, json};

use super::menu::{self, MAX_MINUTES, MENU, MENU_URI, model};

/// Why the demonstration's server ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The other side did not open an MCP session.
    #[error("the session did not open: {0}")]
    Initialize(Box<rmcp::service::ServerInitializeError>),
    /// The server's task broke.
    #[error("the server broke: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// How long a person may think. Longer than any client waits, but not for ever.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3600);
/// A minute of brewing, in the demonstration's time.
const MINUTE: Duration = Duration::from_secs(1);

type Context = RequestContext<RoleServer>;

/// The handler.
pub(super) struct TeaHouse;

/// Serves the tea house on standard input and output until the input ends.
///
/// # Errors
/// If the other side does not speak MCP, or the server breaks.
pub async fn serve_stdio() -> Result<(), DemoError> {
    let running = TeaHouse.serve(stdio()).await.map_err(|error| DemoError::Initialize(Box::new(error)))?;
    running.waiting().await?;
    Ok(())
}

// === impl TeaHouse ===

impl ServerHandler for TeaHouse {
    fn get_info(&self) -> ServerConfig {
        model(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "prompts": {}, "resources": {}, "logging": {}},
            "serverInfo": {"name": "tea-house", "title": "Tea house", "version": env!("CARGO_PKG_VERSION")},
            "instructions": "A tea house that shows what a session gateway carries: questions, progress and log lines."
        }))
        .unwrap_or_default()
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        // Everything that is said here is worth hearing.
        Ok(())
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListToolsResult, ErrorData> {
        model(json!({"tools": menu::tools()?}))
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let result: CallToolResult = model(match request.name.as_ref() {
            "order_tea" => order_tea(&arguments, &context).await?,
            "pay" => pay(&arguments, &context).await?,
            "brew" => brew(&arguments, &context).await?,
            "tell" => text("Tea is the most widely drunk beverage in the world after water."),
            other => return Err(ErrorData::invalid_params(format!("unknown tool: {other}"), None)),
        })?;
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        model(json!({"prompts": menu::prompts()?}))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, _: Context) -> Result<GetPromptResponse, ErrorData> {
        if request.name != "recommend_tea" {
            return Err(ErrorData::invalid_params(format!("unknown prompt: {}", request.name), None));
        }
        let arguments = json!(request.arguments);
        let hour = arguments["hour"].as_str().unwrap_or("this hour");
        let question = format!("Which tea of the menu fits {hour}? Say why in one sentence.\n\n{MENU}");
        let message = json!({"role": "user", "content": {"type": "text", "text": question}});
        model::<GetPromptResult>(json!({"messages": [message]})).map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        model(json!({"resources": menu::resources()?}))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != MENU_URI {
            let data = Some(json!({"uri": request.uri}));
            return Err(ErrorData::new(ErrorCode::RESOURCE_NOT_FOUND, "resource not found", data));
        }
        let content = json!({"uri": MENU_URI, "mimeType": "text/markdown", "text": MENU});
        model::<ReadResourceResult>(json!({"contents": [content]})).map(Into::into)
    }
}

async fn order_tea(arguments: &JsonObject, context: &Context) -> Result<Value, ErrorData> {
    let whom = arguments.get("for_whom").and_then(Value::as_str);
    let message = match whom {
        Some(whom) => format!("What may we bring {whom}?"),
        None => "What may we bring you?".to_owned(),
    };
    let asked = json!({"mode": "form", "message": message, "requestedSchema": menu::order_form()});
    let answer = match ask(asked, context).await {
        Ok(answer) => json!(answer),
        Err(reason) => return Ok(failed(reason)),
    };
    if answer["action"] != "accept" {
        return Ok(text("No tea, then. Come back any time."));
    }
    let order = &answer["content"];
    let cups = &order["cups"];
    let tea = order["tea"].as_str().unwrap_or("tea");
    let said = format!("Ordered: {cups} cups of {tea}. `brew` makes it, `pay` pays for it.");
    Ok(json!({"content": [{"type": "text", "text": said}], "structuredContent": {"order": order}}))
}

async fn pay(arguments: &JsonObject, context: &Context) -> Result<Value, ErrorData> {
    let id = uuid::Uuid::new_v4().to_string();
    let url = match arguments.get("url").and_then(Value::as_str) {
        Some(url) => url.to_owned(),
        None => format!("https://example.com/pay/{id}"),
    };
    let message = "Please visit the payment page. It is a demonstration: nothing is paid.";
    let asked = json!({"mode": "url", "message": message, "url": url, "elicitationId": id});
    let answer = match ask(asked, context).await {
        Ok(answer) => json!(answer),
        Err(reason) => return Ok(failed(reason)),
    };
    if answer["action"] != "accept" {
        return Ok(text("Not paid."));
    }
    // A real server would learn this from the payment page.
    let complete = CustomNotification::new("notifications/elicitation/complete", Some(json!({"elicitationId": id})));
    let sent = context.peer.send_notification(ServerNotification::CustomNotification(complete)).await;
    if let Err(error) = sent {
        tracing::debug!(%error, "completion was not delivered");
    }
    Ok(text("Paid, thank you."))
}

async fn brew(arguments: &JsonObject, context: &Context) -> Result<Value, ErrorData> {
    let minutes = match arguments.get("minutes") {
        None => 4,
        Some(minutes) => minutes
            .as_u64()
            .filter(|minutes| (1..=MAX_MINUTES).contains(minutes))
            .ok_or_else(|| ErrorData::invalid_params(format!("minutes must be 1 to {MAX_MINUTES}"), None))?,
    };
    log(LoggingLevel::Info, "the water boils", context).await;
    for minute in 1..=minutes {
        tokio::select! {
            () = tokio::time::sleep(MINUTE) => {}
            () = context.ct.cancelled() => {
                log(LoggingLevel::Notice, "the kettle is taken off", context).await;
                return Ok(failed("Brewing was cancelled."));
            }
        }
        progress(minute, minutes, context).await;
    }
    log(LoggingLevel::Info, "the tea is ready", context).await;
    Ok(text(format!("The tea is ready after {minutes} minutes.")))
}

/// Asks the person, if the client can; the error is for the person, too.
async fn ask(params: Value, context: &Context) -> Result<ElicitResult, String> {
    let params: ElicitRequestParams = model(params).map_err(|error| error.message.into_owned())?;
    let declared = context.peer.peer_info().and_then(|info| info.capabilities.elicitation.clone());
    let able = declared.is_some_and(|declared| match params {
        ElicitRequestParams::UrlElicitationParams { .. } => declared.url.is_some(),
        _ => declared.form.is_some() || declared.url.is_none(),
    });
    if !able {
        return Err("This client cannot ask you questions of that kind; try `sessiongate call`.".into());
    }
    match context.peer.create_elicitation_with_timeout(params, Some(QUESTION_TIMEOUT)).await {
        Ok(answer) => Ok(answer),
        Err(ServiceError::McpError(error)) => Err(format!("The question failed: {}", error.message)),
        Err(error) => Err(format!("The question failed: {error}")),
    }
}

async fn log(level: LoggingLevel, message: &str, context: &Context) {
    let message = LoggingMessageNotificationParam::new(level, json!(message)).with_logger("kitchen");
    if let Err(error) = context.peer.notify_logging_message(message).await {
        tracing::debug!(%error, "log message was not delivered");
    }
}

async fn progress(minute: u64, minutes: u64, context: &Context) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let mut params = ProgressNotificationParam::new(token, minute as f64).with_total(minutes as f64);
    params.message = Some(format!("minute {minute}"));
    if let Err(error) = context.peer.notify_progress(params).await {
        tracing::debug!(%error, "progress was not delivered");
    }
}

fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

fn failed(reason: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": reason.into()}], "isError": true})
}
