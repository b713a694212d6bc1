//! The MCP handler: lists, reads and dispatch. One value per session.

#![expect(deprecated, reason = "subscribe, logging and roots are the 2025 wire, which this server is for")]

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams,
        CompleteResult, CustomRequest, CustomResult, DiscoverResult, ErrorCode, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult, InitializeRequestParams, InitializeResult,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerConfig,
        SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, TASKS_EXTENSION_ID, Tool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};

use crate::{
    calls::Call,
    catalogue::{self, PAGE, PNG, model, prompt_messages},
    catalogue_modern,
    era::is_modern,
    input_required::{ASKING_PROMPT, asking_prompt, is_stateful},
    legacy_tasks::is_job,
    questions::{Rounds, Stop},
    results::{Cache, complete},
    sessions::Sessions,
    state::{Session, Shared},
};

/// The handler of one session.
pub struct ReferenceServer {
    pub shared: Arc<Shared>,
    pub sessions: Option<Arc<Sessions>>,
    pub session: Arc<Session>,
}

pub type Context = RequestContext<RoleServer>;

// === impl ReferenceServer ===

impl ReferenceServer {
    /// The handler of a new session; `sessions` is absent on stdio.
    pub fn new(shared: Arc<Shared>, sessions: Option<Arc<Sessions>>) -> Self {
        Self { shared, sessions, session: Arc::new(Session::default()) }
    }

    fn tools(&self) -> Vec<Tool> {
        let (toggled, modern) = (self.shared.toggled.load(Ordering::Relaxed), self.shared.era.has_modern());
        let mut tools = catalogue::tools(self.shared.many, toggled, modern);
        if self.shared.legacy_tasks && !modern {
            tools.extend(catalogue_modern::modern_tools().into_iter().filter(|tool| is_job(&tool.name)));
        }
        tools
    }

    fn count(&self, context: &Context, method: &'static str) {
        self.shared.requested(is_modern(context), method);
    }
}

impl ServerHandler for ReferenceServer {
    fn get_info(&self) -> ServerConfig {
        let extensions = if self.shared.era.has_modern() { json!({TASKS_EXTENSION_ID: {}}) } else { Value::Null };
        model(json!({
            "protocolVersion": self.shared.era.preferred(),
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": true},
                "prompts": {"listChanged": true},
                "logging": {},
                "completions": {},
                "extensions": extensions
            },
            "serverInfo": {"name": "sessiongate-reference-server", "version": "1.0.0"},
            "instructions": "A reference server for tests."
        }))
        .unwrap_or_default()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.shared.era.versions()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools().into_iter().find(|tool| tool.name == name)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: Context,
    ) -> Result<InitializeResult, ErrorData> {
        self.shared.requested(false, "initialize");
        context.peer.set_peer_info(request.clone());
        let mut result = self.negotiate_initialize(&request)?;
        // Extensions came with the modern era.
        result.capabilities.extensions = None;
        Ok(result)
    }

    async fn discover(&self, context: Context) -> Result<DiscoverResult, ErrorData> {
        self.count(&context, "server/discover");
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), self.get_info()))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.shared.requested(true, "subscriptions/listen");
        self.shared.subscriptions.hold(context).await;
        Ok(())
    }

    async fn get_task(&self, request: GetTaskParams, context: Context) -> Result<GetTaskResult, ErrorData> {
        self.count(&context, "tasks/get");
        self.shared.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Context) -> Result<(), ErrorData> {
        self.count(&context, "tasks/update");
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Context) -> Result<(), ErrorData> {
        self.count(&context, "tasks/cancel");
        self.shared.tasks.cancel_task(&request.task_id)
    }

    async fn on_custom_request(&self, request: CustomRequest, context: Context) -> Result<CustomResult, ErrorData> {
        let params = request.params.unwrap_or_default();
        self.task_request(&request.method, &params, &context).await.map(CustomResult::new)
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
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        self.count(&context, "tools/list");
        let tools = self.tools();
        if !self.shared.many {
            return complete(&context, json!({"tools": tools}), Cache::List);
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
        complete(&context, page, Cache::List)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        self.count(&context, "tools/call");
        let name = request.name.to_string();
        if !self.tools().iter().any(|tool| tool.name == name) {
            return Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None));
        }
        let arguments = request.arguments.unwrap_or_default();
        let state = request.request_state.as_deref();
        let mut rounds = Rounds::open(&self.shared, &context, &name, request.input_responses, state)?;
        rounds.stateful = is_stateful(&name);
        if let Some(key) = arguments.get("key").and_then(Value::as_str) {
            rounds.count_under(key);
        }
        self.shared.record("start", &name, json!(arguments));
        let call = Call { server: self, name: &name, arguments: &arguments, context: &context, rounds };
        let outcome = match call.run().await {
            Ok(value) | Err(Stop::Early(value)) => complete::<CallToolResult>(&context, value, Cache::None),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Ask(result)) => {
                self.shared.record("ask", &name, json!(result.input_requests));
                return Ok((*result).into());
            }
            Err(Stop::Task(result)) => {
                self.shared.record("task", &name, json!(result.task.task_id));
                return Ok((*result).into());
            }
        };
        self.shared.record("finish", &name, json!({"ok": outcome.is_ok()}));
        outcome.map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.count(&context, "resources/list");
        complete(&context, json!({"resources": catalogue::resources()?}), Cache::List)
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.count(&context, "resources/templates/list");
        complete(&context, json!({"resourceTemplates": catalogue::templates()?}), Cache::List)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.count(&context, "resources/read");
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
        complete::<ReadResourceResult>(&context, json!({"contents": [content]}), Cache::Read).map(Into::into)
    }

    async fn subscribe(&self, request: SubscribeRequestParams, context: Context) -> Result<(), ErrorData> {
        self.shared.watches(&self.session, context.peer);
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
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.count(&context, "prompts/list");
        complete(
            &context,
            json!({"prompts": catalogue::prompts(self.shared.toggled_prompt.load(Ordering::Relaxed), self.shared.era.has_modern())?}),
            Cache::List,
        )
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.count(&context, "prompts/get");
        if request.name == ASKING_PROMPT && self.shared.era.has_modern() {
            let state = request.request_state.as_deref();
            let rounds = Rounds::open(&self.shared, &context, ASKING_PROMPT, request.input_responses, state)?;
            return match asking_prompt(&rounds).await {
                Ok(prompt) => Ok(prompt.into()),
                Err(Stop::Ask(result)) => Ok((*result).into()),
                Err(Stop::Error(error)) => Err(error),
                Err(Stop::Early(_) | Stop::Task(_)) => {
                    Err(ErrorData::internal_error("the client did not answer", None))
                }
            };
        }
        let given = request.arguments.unwrap_or_default();
        let messages = prompt_messages(&request.name, &given)?;
        complete::<GetPromptResult>(&context, json!({"messages": messages}), Cache::None).map(Into::into)
    }

    async fn complete(&self, request: CompleteRequestParams, context: Context) -> Result<CompleteResult, ErrorData> {
        self.count(&context, "completion/complete");
        let start = request.argument.value;
        let values: Vec<&str> =
            ["paris", "park", "party", "test", "testing"].into_iter().filter(|word| word.starts_with(&start)).collect();
        let completion = json!({"values": values, "total": values.len(), "hasMore": false});
        complete(&context, json!({"completion": completion}), Cache::None)
    }
}
