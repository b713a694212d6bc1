//! The MCP handler: lists, reads and dispatch. One value per session.

#![expect(deprecated, reason = "subscribe, logging and roots are the 2025 wire, which this server is for")]

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult, ErrorCode,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
        UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext},
};
use serde_json::{Value, json};

use crate::{
    calls::Call,
    catalogue::{self, PAGE, PNG, model},
    sessions::Sessions,
    state::{Session, Shared},
};

/// The handler of one session.
pub struct ReferenceServer {
    pub shared: Arc<Shared>,
    pub sessions: Option<Arc<Sessions>>,
    pub session: Arc<Session>,
}

type Context = RequestContext<RoleServer>;

// === impl ReferenceServer ===

impl ReferenceServer {
    /// The handler of a new session; `sessions` is absent on stdio.
    pub fn new(shared: Arc<Shared>, sessions: Option<Arc<Sessions>>) -> Self {
        Self { shared, sessions, session: Arc::new(Session::default()) }
    }

    fn tools(&self) -> Vec<rmcp::model::Tool> {
        catalogue::tools(self.shared.many, self.shared.toggled.load(Ordering::Relaxed))
    }
}

impl ServerHandler for ReferenceServer {
    fn get_info(&self) -> ServerConfig {
        model(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": true},
                "prompts": {"listChanged": true},
                "logging": {},
                "completions": {}
            },
            "serverInfo": {"name": "sessiongate-reference-server", "version": "1.0.0"},
            "instructions": "A reference server for tests."
        }))
        .unwrap_or_default()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        if self.shared.modern {
            Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS)
        } else {
            Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25))
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.shared.join(context.peer);
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        *self.session.level.lock() = request.level;
        Ok(())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.tools();
        if !self.shared.many {
            return model(json!({"tools": tools}));
        }
        let start = match request.and_then(|request| request.cursor) {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix("tools:")
                .and_then(|position| position.parse::<usize>().ok())
                .filter(|position| *position < tools.len())
                .ok_or_else(|| ErrorData::invalid_params("unknown cursor", None))?,
        };
        let end = tools.len().min(start + PAGE);
        let mut page = json!({"tools": tools[start..end]});
        if end < tools.len() {
            page["nextCursor"] = json!(format!("tools:{end}"));
        }
        model(page)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let name = request.name.to_string();
        if !self.tools().iter().any(|tool| tool.name == name) {
            return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None));
        }
        let arguments = request.arguments.unwrap_or_default();
        self.shared.record("start", &name, json!(arguments));
        let call = Call { server: self, name: &name, arguments: &arguments, context: &context };
        let result: Result<CallToolResult, ErrorData> = match call.run().await {
            Ok(value) => model(value),
            Err(error) => Err(error),
        };
        self.shared.record("finish", &name, json!({"ok": result.is_ok()}));
        Ok(CallToolResponse::from(result?))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        model(json!({"resources": catalogue::resources()?}))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        model(json!({"resourceTemplates": catalogue::templates()?}))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let template = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let content = match (uri, template) {
            ("test://static-text", _) => json!({"uri": uri, "mimeType": "text/plain",
                "text": "This is the content of the static text resource."}),
            ("test://static-binary", _) => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
            ("test://watched-resource", _) => json!({"uri": uri, "mimeType": "text/plain", "text": "watched"}),
            (_, Some(id)) if !id.is_empty() => {
                let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string();
                json!({"uri": uri, "mimeType": "application/json", "text": text})
            }
            _ => {
                return Err(ErrorData::new(
                    ErrorCode::RESOURCE_NOT_FOUND,
                    "Resource not found",
                    Some(json!({"uri": uri})),
                ));
            }
        };
        model::<ReadResourceResult>(json!({"contents": [content]})).map(Into::into)
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.session.subscriptions.lock().insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.session.subscriptions.lock().remove(&request.uri);
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        model(json!({"prompts": catalogue::prompts()?}))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, _: Context) -> Result<GetPromptResponse, ErrorData> {
        let given = request.arguments.unwrap_or_default();
        let argument = |name: &str| {
            let value = given.get(name).and_then(|value| json!(value).as_str().map(str::to_owned));
            value.ok_or_else(|| ErrorData::invalid_params(format!("argument {name} is missing"), None))
        };
        let user = |content: Value| json!({"role": "user", "content": content});
        let text = |text: String| user(json!({"type": "text", "text": text}));
        let messages = match request.name.as_ref() {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.".into())],
            "test_prompt_with_arguments" => {
                vec![text(format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1")?, argument("arg2")?))]
            }
            "test_prompt_with_embedded_resource" => vec![
                user(json!({"type": "resource", "resource": {
                    "uri": argument("resourceUri")?, "mimeType": "text/plain",
                    "text": "Embedded resource content for testing."
                }})),
                text("Please process the embedded resource above.".into()),
            ],
            "test_prompt_with_image" => vec![
                user(json!({"type": "image", "data": PNG, "mimeType": "image/png"})),
                text("Please analyze the image above.".into()),
            ],
            other => return Err(ErrorData::invalid_params(format!("Unknown prompt: {other}"), None)),
        };
        model::<GetPromptResult>(json!({"messages": messages})).map(Into::into)
    }

    async fn complete(&self, request: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        let start = request.argument.value;
        let values: Vec<&str> =
            ["paris", "park", "party", "test", "testing"].into_iter().filter(|word| word.starts_with(&start)).collect();
        model(json!({"completion": {"values": values, "total": values.len(), "hasMore": false}}))
    }
}
