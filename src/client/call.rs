//! `sessiongate call`: one tool call, from the arguments to the exit code.

use std::{future::Future, pin::pin, time::Duration};

use rmcp::{
    ErrorData, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam, ClientRequest, ErrorCode,
        JsonObject, ServerResult,
    },
    service::{PeerRequestOptions, RunningService, ServiceError},
};
use serde_json::Value;

use super::{
    arguments::arguments_from,
    connect::{Connection, connect},
    console::Console,
    error::ClientError,
    handler::{Person, is_modern, wishes},
    list::all_tools,
    options::{CallOptions, Era, Outcome, Output},
    question::{Asker, Reply},
    render,
    session_file::StoredSession,
};
use crate::similar::nearest;

/// `URLElicitationRequiredError` (2025-11-25, elicitation).
const URL_ELICITATION_REQUIRED: i32 = -32042;
/// How many times a call is repeated after pages were visited.
const MAX_RETRIES: usize = 3;
/// How many times a modern tool may ask in one call.
const MAX_ROUNDS: usize = 32;
/// How long cancelling may take after the time of the call is up.
const GRACE: Duration = Duration::from_secs(2);
/// Most pages of one error.
const MAX_PAGES: usize = 16;

/// Calls a tool. Ctrl-C cancels the call, and a second one ends the waiting for that.
///
/// # Errors
/// If there is no result of the tool: no connection, a JSON-RPC error, wrong arguments.
pub async fn call(options: &CallOptions, console: &Console) -> Result<Outcome, ClientError> {
    call_until(options, console, async || {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without the signal there is no cancelling, and the call goes on.
            std::future::pending::<()>().await;
        }
    })
    .await
}

/// [`call`] with another source of cancellation than Ctrl-C; it is awaited anew for each interruption.
///
/// # Errors
/// As [`call`].
pub async fn call_until(
    options: &CallOptions,
    console: &Console,
    interrupted: impl AsyncFn(),
) -> Result<Outcome, ClientError> {
    if options.session_file.is_some() && options.endpoint.era == Era::Modern {
        return Err(ClientError::Argument(
            "--session keeps a session, and revision 2026-07-28 has none: leave --session or --era modern out".into(),
        ));
    }
    let asker = Asker::new(console.clone(), options.answers.clone(), options.assume_yes);
    let person = Person { console: console.clone(), asker: asker.clone() };
    let resume = match &options.session_file {
        Some(path) => StoredSession::load(path, &options.endpoint.url)?,
        None => None,
    };
    let timeout = options.endpoint.timeout;
    let connecting = connect(&options.endpoint, person, options.session_file.is_some(), resume);
    let connection = within(timeout, pin!(connecting)).await?;
    let deadline = tokio::time::Instant::now() + timeout;
    let running = Call { options, console, asker: &asker, running: &connection.running, deadline };
    let outcome = within(timeout + GRACE, pin!(running.run(&interrupted))).await;
    console.clear_progress();
    let saved = save(options, &connection);
    tokio::select! {
        () = connection.close() => {}
        () = interrupted() => {}
    }
    let outcome = outcome?;
    saved?;
    Ok(outcome)
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(ClientError::Timeout(limit)))
}

fn save(options: &CallOptions, connection: &Connection<Person>) -> Result<(), ClientError> {
    match (&options.session_file, connection.http.current(&options.endpoint.url)) {
        (Some(path), Some(session)) => session.save(path),
        _ => Ok(()),
    }
}

struct Call<'a> {
    options: &'a CallOptions,
    console: &'a Console,
    asker: &'a Asker,
    running: &'a RunningService<RoleClient, Person>,
    deadline: tokio::time::Instant,
}

enum Answer {
    Result(CallToolResult),
    PagesFirst(ErrorData),
    Cancelled,
}

// === impl Call ===

impl Call<'_> {
    async fn run(&self, interrupted: &impl AsyncFn()) -> Result<Outcome, ClientError> {
        let arguments = self.arguments().await?;
        for _ in 0..=MAX_RETRIES {
            match self.once(arguments.clone(), interrupted).await? {
                Answer::Result(result) => return self.show(&result).await,
                Answer::Cancelled => return Ok(Outcome::Cancelled),
                Answer::PagesFirst(error) => {
                    if !self.visit(&error).await {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(ClientError::Protocol {
            code: URL_ELICITATION_REQUIRED,
            message: "the endpoint asks for pages to be visited again and again".into(),
        })
    }

    /// The arguments, typed by the schema of the tool if there is something to type.
    async fn arguments(&self) -> Result<JsonObject, ClientError> {
        let json = self.options.json.as_deref();
        if self.options.args.is_empty() {
            return arguments_from(&[], json, &JsonObject::new());
        }
        let tools = all_tools(self.running, &self.options.endpoint.url).await?;
        let Some(tool) = tools.iter().find(|tool| tool.name == self.options.tool) else {
            let names = tools.iter().map(|tool| tool.name.as_ref());
            return Err(ClientError::UnknownTool {
                name: self.options.tool.clone(),
                similar: nearest(&self.options.tool, names).map(str::to_owned),
            });
        };
        arguments_from(&self.options.args, json, &tool.input_schema)
    }

    async fn once(&self, arguments: JsonObject, interrupted: &impl AsyncFn()) -> Result<Answer, ClientError> {
        let params = CallToolRequestParams::new(self.options.tool.clone()).with_arguments(arguments);
        if is_modern(self.running) {
            self.once_modern(params, interrupted).await
        } else {
            self.once_legacy(params, interrupted).await
        }
    }

    /// A call of 2026-07-28: the SDK answers questions and repeats the call. Letting go of it closes its connection,
    /// and that cancels it.
    async fn once_modern(
        &self,
        params: CallToolRequestParams,
        interrupted: &impl AsyncFn(),
    ) -> Result<Answer, ClientError> {
        let answer = tokio::select! {
            answer = self.in_rounds(params) => answer?,
            () = interrupted() => {
                self.console.clear_progress();
                self.console.note("cancelled");
                return Ok(Answer::Cancelled);
            }
            () = tokio::time::sleep_until(self.deadline) => {
                return Err(ClientError::Timeout(self.options.endpoint.timeout));
            }
        };
        Ok(Answer::Result(answer))
    }

    async fn in_rounds(&self, mut params: CallToolRequestParams) -> Result<CallToolResult, ClientError> {
        let url = &self.options.endpoint.url;
        params.meta = Some(wishes());
        let answer = match self.running.call_tool_with_mrtr_max_rounds(params.clone(), MAX_ROUNDS).await {
            // An argument belongs into a header too. The SDK knows which once it has seen the tool.
            Err(ServiceError::McpError(error)) if error.code == ErrorCode::HEADER_MISMATCH => {
                all_tools(self.running, url).await?;
                self.running.call_tool_with_mrtr_max_rounds(params, MAX_ROUNDS).await
            }
            other => other,
        };
        answer.map_err(|error| ClientError::service(url, error))
    }

    async fn once_legacy(
        &self,
        params: CallToolRequestParams,
        interrupted: &impl AsyncFn(),
    ) -> Result<Answer, ClientError> {
        let url = &self.options.endpoint.url;
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let sent = self.running.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
        let handle = sent.map_err(|error| ClientError::service(url, error))?;
        let cancelled = CancelledNotificationParam::new(Some(handle.id.clone()), Some("cancelled by the user".into()));
        let answer = tokio::select! {
            answer = handle.await_response() => answer,
            () = interrupted() => {
                self.console.clear_progress();
                self.console.note("cancelling; Ctrl-C again ends at once");
                tokio::select! {
                    _ = self.running.notify_cancelled(cancelled) => {}
                    () = interrupted() => {}
                }
                return Ok(Answer::Cancelled);
            }
            () = tokio::time::sleep_until(self.deadline) => {
                // The server should not go on with what nobody waits for.
                let _ = self.running.notify_cancelled(cancelled).await;
                return Err(ClientError::Timeout(self.options.endpoint.timeout));
            }
        };
        match answer {
            Ok(ServerResult::CallToolResult(result)) => Ok(Answer::Result(result)),
            Ok(_) => Err(ClientError::UnexpectedAnswer),
            Err(ServiceError::McpError(error)) if error.code.0 == URL_ELICITATION_REQUIRED => {
                Ok(Answer::PagesFirst(error))
            }
            Err(error) => Err(ClientError::service(url, error)),
        }
    }

    /// Asks for every page of the error to be visited; true if the call can be repeated.
    async fn visit(&self, error: &ErrorData) -> bool {
        let listed = error.data.as_ref().and_then(|data| data.get("elicitations")).and_then(Value::as_array);
        let Some(pages) = listed.filter(|pages| !pages.is_empty() && pages.len() <= MAX_PAGES) else {
            return false;
        };
        for page in pages {
            let text = |member: &str| page.get(member).and_then(Value::as_str);
            let (Some(url), message) = (text("url"), text("message").unwrap_or(&error.message)) else {
                return false;
            };
            if !matches!(self.asker.page(message, url).await, Reply::Accept(_)) {
                return false;
            }
        }
        self.asker.retry().await
    }

    async fn show(&self, result: &CallToolResult) -> Result<Outcome, ClientError> {
        self.asker.settled().await;
        self.console.clear_progress();
        let text = match self.options.output {
            Output::Human => render::result(result),
            Output::Json => serde_json::to_string(result).map_err(|_| ClientError::UnexpectedAnswer)?,
        };
        self.console.result(&text)?;
        Ok(match result.is_error {
            Some(true) => Outcome::Failed,
            _ => Outcome::Succeeded,
        })
    }
}
