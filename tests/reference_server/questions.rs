//! Questions to the client in the middle of a call, in the way of the call's era.
//!
//! A legacy client gets real requests on the call's stream. A modern one gets `input_required` and repeats the call with the
//! answers; what earlier rounds answered travels in a signed `requestState`, so that the server itself remembers nothing.

#![expect(deprecated, reason = "sampling and roots are deprecated, but every client in the field may have them")]

use std::{collections::BTreeMap, sync::atomic::Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rmcp::{
    ErrorData, RoleServer,
    model::{ClientCapabilities, CreateTaskResult, InputRequest, InputRequiredResult, InputResponses},
    service::{RequestContext, ServiceError},
};
use serde_json::{Value, json};

use crate::{calls::failed, catalogue::model, era::is_modern, request_state, state::Shared};

/// One question; `key` names it among the questions of its call.
pub struct Question {
    pub key: String,
    kind: Kind,
    params: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Form,
    Url,
    Sample,
    Roots,
}

/// Why a tool does not go on to its own result.
pub enum Stop {
    /// The result is decided already.
    Early(Value),
    /// The client has to answer and to call again.
    Ask(Box<InputRequiredResult>),
    /// The work goes on as a task.
    Task(Box<CreateTaskResult>),
    /// A JSON-RPC error.
    Error(ErrorData),
}

/// All rounds of one call: what was answered so far, and how to ask for the rest.
pub struct Rounds<'a> {
    shared: &'a Shared,
    context: &'a RequestContext<RoleServer>,
    name: &'a str,
    count_under: String,
    given: InputResponses,
    kept: Mutex<BTreeMap<String, Value>>,
    /// Answers count only together with the state that asked for them.
    pub stateful: bool,
    /// Whether this is a retry with a state that this server signed.
    pub resumed: bool,
}

// === impl Question ===

impl Question {
    /// A form.
    pub fn form(key: &str, message: &str, schema: Value) -> Self {
        Self::new(key, Kind::Form, json!({"mode": "form", "message": message, "requestedSchema": schema}))
    }

    /// A visit to a page; the id goes to legacy clients only.
    pub fn url(key: &str, message: &str, url: &str, elicitation_id: &str) -> Self {
        let params = json!({"mode": "url", "message": message, "url": url, "elicitationId": elicitation_id});
        Self::new(key, Kind::Url, params)
    }

    /// A prompt for the client's model.
    pub fn sample(key: &str, prompt: &str) -> Self {
        let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
        Self::new(key, Kind::Sample, json!({"messages": [message], "maxTokens": 100}))
    }

    /// The client's roots.
    pub fn roots(key: &str) -> Self {
        Self::new(key, Kind::Roots, json!({}))
    }

    fn new(key: &str, kind: Kind, params: Value) -> Self {
        Self { key: key.to_owned(), kind, params }
    }

    /// The entry of `inputRequests`.
    pub fn input_request(&self) -> Result<InputRequest, ErrorData> {
        let mut params = self.params.clone();
        if let Some(params) = params.as_object_mut() {
            params.remove("elicitationId");
        }
        model(json!({"method": self.kind.method(), "params": params}))
    }

    fn is_answered_by(&self, answer: &Value) -> bool {
        match self.kind {
            Kind::Form | Kind::Url => answer["action"].is_string(),
            Kind::Sample => answer["content"].is_object() || answer["content"].is_array(),
            Kind::Roots => answer["roots"].is_array(),
        }
    }
}

// === impl Kind ===

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Form | Self::Url => "elicitation/create",
            Self::Sample => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    fn is_declared(self, capabilities: &ClientCapabilities) -> bool {
        let elicitation = capabilities.elicitation.as_ref();
        match self {
            // An empty object means forms only.
            Self::Form => elicitation.is_some_and(|modes| modes.form.is_some() || modes.url.is_none()),
            Self::Url => elicitation.is_some_and(|modes| modes.url.is_some()),
            Self::Sample => capabilities.sampling.is_some(),
            Self::Roots => capabilities.roots.is_some(),
        }
    }

    fn required(self) -> Value {
        match self {
            Self::Form => json!({"elicitation": {"form": {}}}),
            Self::Url => json!({"elicitation": {"url": {}}}),
            Self::Sample => json!({"sampling": {}}),
            Self::Roots => json!({"roots": {}}),
        }
    }

    fn undeclared(self) -> &'static str {
        match self {
            Self::Form => "the client did not declare elicitation",
            Self::Url => "the client did not declare URL elicitation",
            Self::Sample => "Sampling failed: the client did not declare sampling",
            Self::Roots => "the client did not declare roots",
        }
    }
}

// === impl Stop ===

impl From<ErrorData> for Stop {
    fn from(error: ErrorData) -> Self {
        Self::Error(error)
    }
}

// === impl Rounds ===

impl<'a> Rounds<'a> {
    /// The rounds of this call so far; an error if the state is not one that this server signed for this call.
    pub fn open(
        shared: &'a Shared,
        context: &'a RequestContext<RoleServer>,
        name: &'a str,
        given: Option<InputResponses>,
        state: Option<&str>,
    ) -> Result<Self, ErrorData> {
        let kept = state.map(|state| request_state::open(state, name)).transpose()?;
        Ok(Self {
            shared,
            context,
            name,
            count_under: name.to_owned(),
            given: given.unwrap_or_default(),
            resumed: kept.is_some(),
            kept: Mutex::new(kept.unwrap_or_default()),
            stateful: false,
        })
    }

    /// Counts elicitation answers under this key.
    pub fn count_under(&mut self, key: &str) {
        key.clone_into(&mut self.count_under);
    }

    /// Asks all of these at once; the answers come in their order.
    pub async fn ask(&self, questions: Vec<Question>) -> Result<Vec<Value>, Stop> {
        let declared = self.context.client_capabilities().unwrap_or_default();
        let missing = questions.iter().find(|question| !question.kind.is_declared(&declared));
        match (missing, is_modern(self.context)) {
            (Some(question), true) => {
                Err(ErrorData::missing_required_client_capability(model(question.kind.required())?).into())
            }
            (Some(question), false) => Err(Stop::Early(failed(question.kind.undeclared()))),
            (None, _) => self.ask_undeclared(questions).await,
        }
    }

    /// The same, without a look at what the client declared.
    pub async fn ask_undeclared(&self, questions: Vec<Question>) -> Result<Vec<Value>, Stop> {
        if is_modern(self.context) {
            return self.take(&questions);
        }
        let answers = join_all(questions.iter().map(|question| self.request(question))).await;
        answers.into_iter().map(|answer| answer.map_err(|reason| Stop::Early(failed(reason)))).collect()
    }

    /// One question.
    pub async fn ask_one(&self, question: Question) -> Result<Value, Stop> {
        Ok(self.ask(vec![question]).await?.into_iter().next().unwrap_or_default())
    }

    /// `input_required` without a question: the client calls again at once.
    pub fn come_back(&self) -> Result<Stop, ErrorData> {
        self.shared.input_required.fetch_add(1, Ordering::Relaxed);
        Ok(Stop::Ask(Box::new(InputRequiredResult::from_request_state(self.sealed()?))))
    }

    /// Modern: takes the answers that came, and asks for the others.
    fn take(&self, questions: &[Question]) -> Result<Vec<Value>, Stop> {
        let mut kept = self.kept.lock();
        let listening = self.resumed || !self.stateful;
        let mut missing = BTreeMap::new();
        for question in questions {
            if kept.contains_key(&question.key) {
                continue;
            }
            match self.given.get(&question.key).filter(|answer| listening && question.is_answered_by(answer)) {
                Some(answer) => {
                    self.count(question, answer);
                    kept.insert(question.key.clone(), answer.clone());
                }
                None => {
                    missing.insert(question.key.clone(), question.input_request()?);
                }
            }
        }
        if missing.is_empty() {
            return Ok(questions.iter().map(|question| kept.get(&question.key).cloned().unwrap_or_default()).collect());
        }
        let has_state = self.stateful || !kept.is_empty();
        drop(kept);
        let state = has_state.then(|| self.sealed()).transpose()?;
        self.shared.input_required.fetch_add(1, Ordering::Relaxed);
        Err(Stop::Ask(Box::new(InputRequiredResult::new(Some(missing), state))))
    }

    /// Legacy: a request of the server's own.
    async fn request(&self, question: &Question) -> Result<Value, String> {
        let peer = &self.context.peer;
        let params = question.params.clone();
        let unreadable = |error: ErrorData| error.message.to_string();
        let answer = match question.kind {
            Kind::Form | Kind::Url => {
                peer.create_elicitation(model(params).map_err(unreadable)?).await.map(|answer| json!(answer))
            }
            Kind::Sample => peer.create_message(model(params).map_err(unreadable)?).await.map(|answer| json!(answer)),
            Kind::Roots => peer.list_roots().await.map(|answer| json!(answer)),
        };
        match answer {
            Ok(answer) => {
                self.count(question, &answer);
                Ok(answer)
            }
            Err(error) if question.kind == Kind::Sample => Err(format!("Sampling failed: {error}")),
            Err(ServiceError::McpError(error)) => Err(format!("{} ({})", error.message, error.code.0)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn count(&self, question: &Question, answer: &Value) {
        if matches!(question.kind, Kind::Form | Kind::Url) {
            self.shared.answered(self.name, &self.count_under, answer.clone());
        }
    }

    fn sealed(&self) -> Result<String, ErrorData> {
        request_state::seal(self.name, &self.kept.lock())
    }
}
