//! Tasks of targets that have sessions, asked about in the conversation in which they run.
//!
//! What a task asks the client comes on the stream of a `tasks/result` (2025-11-25, tasks). The conversation has one of
//! those for each task that waits for answers, under an id that can be made from the task's: whoever comes next finds it,
//! in another process too, and with it the questions that nobody has answered yet.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use sessiongate_actors::SessionError;
use sessiongate_actors::directory::{Principal, SessionDirectory};
use sessiongate_actors::session::{CallAnswer, SessionHandle};
use sessiongate_protocol::jsonrpc::ErrorShape;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::input_required::{InputRequest, InputResponses};
use sessiongate_protocol::modern::tasks::legacy::{self, State, Status};
use sessiongate_protocol::modern::tasks::{Place, Task, TaskError};
use sessiongate_protocol::{
    Message, Notification, RawJson, Request, RequestId, Response, ResponseBody, codes, sse, tasks,
};
use sessiongate_targets::Passed;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::super::affinity::hash;
use super::super::turn::GATHER;
use crate::gateway::Served;
use crate::http::caller::{Caller, Session};
use crate::http::stream::{Reader, StreamTiming};

/// A request follows its conversation out of memory and back this often.
const MAX_MOVES: u32 = 3;
/// A target has to answer at once: what takes its time is the task.
const ANSWER: Duration = Duration::from_secs(30);
/// A task that waits for answers asks for them as soon as somebody listens; one that goes on asking is not waited for
/// any longer either.
const FIRST: Duration = Duration::from_secs(2);

/// Asks about tasks for one principal.
pub struct Desk {
    directory: Arc<SessionDirectory>,
    served: Arc<Served>,
    principal: Principal,
    /// What goes along to the target with each request.
    passed: Option<Arc<Passed>>,
}

/// A task in its conversation, by the client's id.
pub struct Known {
    /// The client's id.
    pub token: Box<str>,
    /// Whose it is.
    pub task: Task,
    /// Where it runs.
    pub place: Place,
}

/// What is known of a task.
pub struct Look {
    /// What the target says.
    pub task: RawJson,
    /// What it has come to.
    pub state: State,
}

/// Why nothing is known of a task.
pub enum Trouble {
    /// Its conversation is over, and the task with it.
    Gone,
    /// Its target does not know it.
    Unknown,
    /// Its target has no tasks any more.
    NotOffered,
    /// The conversation does not take the request.
    Session(SessionError),
    /// The conversation refused it, with this status.
    Refused(u16, ResponseBody),
    /// The target, or the way to it, failed.
    Failed(RawJson),
    /// The target did not answer in time.
    Late,
    /// The target answered with what cannot be read.
    Unreadable(TaskError),
}

// === impl Trouble ===

impl From<TaskError> for Trouble {
    fn from(error: TaskError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<SessionError> for Trouble {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound | SessionError::Ended => Self::Gone,
            error => Self::Session(error),
        }
    }
}

// === impl Known ===

impl Known {
    /// What it is asked about with. A session opens the client's id as one of its own.
    fn params(&self) -> RawJson {
        tasks::params(&self.token)
    }

    /// The id of the request for its result, on whose stream it asks.
    fn call(&self) -> RequestId {
        // Hashed: ids of calls are logged.
        RequestId::string(&format!("task {}", hash(&[&self.task.target, &self.task.id])))
    }

    fn result_request(&self) -> Request {
        Request { id: self.call(), method: "tasks/result".into(), params: Some(self.params()) }
    }
}

// === impl Desk ===

impl Desk {
    pub fn of(caller: &Caller<'_>) -> Self {
        Self {
            directory: caller.runtime.directory().clone(),
            served: caller.gateway.clone(),
            principal: caller.principal.clone(),
            passed: caller.passed.clone(),
        }
    }

    /// Where a task stands, with its result or its questions.
    pub async fn look(&self, known: &Known) -> Result<Look, Trouble> {
        let task = self.task(known).await?;
        let state = match legacy::status(&task)? {
            Status::Working => State::Working,
            Status::Cancelled => State::Cancelled,
            Status::InputRequired => {
                State::InputRequired(self.questions(known).await?.into_iter().map(legacy::question).collect())
            }
            Status::Completed | Status::Failed => {
                let body = self.ask(known, "tasks/result").await?;
                if let ResponseBody::Error(error) = &body
                    && is_of_the_way(error, &known.task.target)
                {
                    return Err(Trouble::Failed(error.clone()));
                }
                legacy::outcome(&body, &task, &known.task.target)
            }
        };
        Ok(Look { task, state })
    }

    /// Hands answers over. Those to questions that do not wait are ignored.
    pub async fn answer(&self, known: &Known, responses: &InputResponses) -> Result<(), Trouble> {
        for _ in 0..MAX_MOVES {
            let handle = self.conversation(&known.place).await?;
            match self.hand_over(&handle, known, responses).await {
                Err(SessionError::Left) => {}
                Ok(true) => return Ok(()),
                // Whether there is such a task only its target knows.
                Ok(false) => return self.task(known).await.map(drop),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::Session(SessionError::Overloaded))
    }

    /// Asks the target to end a task. It need not.
    pub async fn cancel(&self, known: &Known) -> Result<(), Trouble> {
        match self.ask(known, "tasks/cancel").await {
            Ok(ResponseBody::Result(_)) => {
                // Nobody waits for its result any more, nor for answers.
                let params = format!("{{\"requestId\":{}}}", known.call().as_raw());
                let over =
                    Notification { method: "notifications/cancelled".into(), params: RawJson::parse(params).ok() };
                if let Ok(handle) = self.conversation(&known.place).await {
                    let _ = handle.notification(over).await;
                }
                Ok(())
            }
            // One that came to its end cannot be cancelled there, and some targets cannot cancel at all.
            Ok(ResponseBody::Error(error)) => match code(&error) {
                Some(codes::INVALID_PARAMS | codes::METHOD_NOT_FOUND) => self.task(known).await.map(drop),
                _ => Err(Trouble::Failed(error)),
            },
            Err(trouble) => Err(trouble),
        }
    }

    /// What the target says of a task.
    async fn task(&self, known: &Known) -> Result<RawJson, Trouble> {
        match self.ask(known, "tasks/get").await? {
            ResponseBody::Result(task) => Ok(task),
            ResponseBody::Error(error) => Err(match code(&error) {
                Some(codes::INVALID_PARAMS) => Trouble::Unknown,
                Some(codes::METHOD_NOT_FOUND) => Trouble::NotOffered,
                _ => Trouble::Failed(error),
            }),
        }
    }

    async fn conversation(&self, place: &Place) -> Result<Arc<SessionHandle>, Trouble> {
        let gateway = &self.served.gateway;
        let handle = self.directory.find_conversation(gateway, &self.principal, &place.conversation).await?;
        // One that ended was followed by another under the same binding: its target knows nothing of the task.
        if handle.created().0 == place.began { Ok(handle) } else { Err(Trouble::Gone) }
    }

    /// Sends a request about a task that is answered at once.
    async fn ask(&self, known: &Known, method: &str) -> Result<ResponseBody, Trouble> {
        for _ in 0..MAX_MOVES {
            let handle = self.conversation(&known.place).await?;
            let id = RequestId::string(&Uuid::new_v4().simple().to_string());
            let request = Request { id, method: method.into(), params: Some(known.params()) };
            let pending = handle.request_with(request, false, None, self.passed.clone())?;
            match timeout(ANSWER, pending.answer(ANSWER)).await {
                Ok(Ok(CallAnswer::Json(body))) => return read(&body),
                Ok(Ok(CallAnswer::Refused { status, body })) => return Err(Trouble::Refused(status, read(&body)?)),
                Ok(Ok(CallAnswer::Stream(_) | CallAnswer::Cancelled)) | Err(_) => return Err(Trouble::Late),
                Ok(Err(SessionError::Left)) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
        }
        Err(Trouble::Session(SessionError::Overloaded))
    }

    /// The questions of a task that wait for answers.
    async fn questions(&self, known: &Known) -> Result<Vec<Request>, Trouble> {
        for _ in 0..MAX_MOVES {
            let handle = self.conversation(&known.place).await?;
            match handle.questions(known.call()).await {
                Ok(Some(questions)) => return Ok(questions),
                Ok(None) => {
                    // Apart from this request: whoever comes next finds what was begun.
                    let (served, request) = (self.served.clone(), known.result_request());
                    let (begun, passed) = (handle.clone(), self.passed.clone());
                    let begun = actix_rt::spawn(async move { listen(&served, begun, request, passed).await });
                    match begun.await.unwrap_or(Err(SessionError::Crashed)) {
                        Ok(()) => return Ok(handle.questions(known.call()).await?.unwrap_or_default()),
                        Err(SessionError::Left) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(SessionError::Left) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Trouble::Session(SessionError::Overloaded))
    }

    /// Hands answers to the questions that wait; false if none of them does.
    async fn hand_over(
        &self,
        handle: &SessionHandle,
        known: &Known,
        responses: &InputResponses,
    ) -> Result<bool, SessionError> {
        let waits = handle.questions(known.call()).await?.unwrap_or_default();
        let keyed: Vec<(InputRequest, RequestId)> = waits
            .into_iter()
            .map(|request| {
                let id = request.id.clone();
                (legacy::question(request), id)
            })
            .collect();
        let mut any = false;
        for (key, value) in responses {
            let Some((_, id)) = keyed.iter().find(|(question, _)| question.key == *key) else { continue };
            any = true;
            let response = Response { id: Some(id.clone()), body: ResponseBody::Result(value.clone()) };
            handle.response_with(response, self.passed.clone()).await?;
        }
        Ok(any)
    }
}

/// Begins to listen to what a task asks: until it has, or for a moment. The request goes on after that.
async fn listen(
    served: &Arc<Served>,
    handle: Arc<SessionHandle>,
    request: Request,
    passed: Option<Arc<Passed>>,
) -> Result<(), SessionError> {
    let answer = handle.request_with(request, true, None, passed)?.answer(FIRST).await?;
    match answer {
        CallAnswer::Stream(attachment) => {
            let timing = StreamTiming { close_after: None, ..served.timing };
            asked(Reader::new(served, Session::of(handle), attachment, timing)).await;
            Ok(())
        }
        // There are too many calls.
        CallAnswer::Refused { status, .. } if status >= 429 => Err(SessionError::Overloaded),
        // It is over already, or somebody else was faster.
        CallAnswer::Json(_) | CallAnswer::Refused { .. } | CallAnswer::Cancelled => Ok(()),
    }
}

/// Waits until a task has asked what it asks together, or came to its end. Nothing in 2025-11-25 says which question is
/// the last: it is the one that no other follows closely.
async fn asked(mut reader: Reader) {
    let longest = Instant::now() + FIRST;
    let mut until = Instant::now() + GATHER;
    while let Ok(Some(frame)) = timeout_at(until.min(longest), reader.next()).await {
        let data = sse::read_back(&frame).map(|(_, data)| Message::parse(&data));
        if matches!(data, Some(Ok(Message::Request(_)))) {
            until = Instant::now() + GATHER;
        }
    }
}

fn read(body: &Bytes) -> Result<ResponseBody, Trouble> {
    match Message::parse(body) {
        Ok(Message::Response(response)) => Ok(response.body),
        _ => Err(Trouble::Late),
    }
}

fn code(error: &RawJson) -> Option<i64> {
    Some(error.borrow::<ErrorShape<'_>>().ok()?.code)
}

/// Whether an error is the gateway's own, about the way to a target, and not what came of the task.
fn is_of_the_way(error: &RawJson, target: &str) -> bool {
    let Ok(shape) = error.borrow::<ErrorShape<'_>>() else { return false };
    let reason = shape.data.and_then(|data| Members::of_str(data.get()).ok()?.get_str("reason").map(drop));
    shape.code == codes::INTERNAL_ERROR
        && reason.is_some()
        && shape.message.starts_with(&format!("target `{target}`: "))
}
