//! Tasks of targets that have sessions (2025-11-25, experimental), for clients of the extension.

use sessiongate_actors::clock;
use sessiongate_actors::gateway::Gateway;
use sessiongate_actors::settings::MAX_TIMEOUT;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::modern::input_required::input_responses;
use sessiongate_protocol::modern::results;
use sessiongate_protocol::modern::tasks::legacy::{self, State};
use sessiongate_protocol::modern::tasks::{self as protocol, Carried, Place, Task};
use sessiongate_protocol::tasks::Support;
use sessiongate_protocol::{RawJson, ResponseBody, tasks};

use super::desk::{Desk, Known, Look, Trouble};
use super::owner;
use crate::http::HttpError;
use crate::http::modern::context::Context;
use crate::http::modern::reply::Reply;
use crate::http::modern::route::Routed;
use crate::http::modern::turn::Translator;

/// A task is kept for as long as its conversation can last.
const LIFE_MS: u64 = MAX_TIMEOUT.as_secs() * 1000;

/// The parameters of a call as its target gets them: as a task where the client can use one and the tool can be one. What
/// the client itself says of tasks belongs to another revision.
pub fn asked(context: &Context, routed: &Routed, params: RawJson) -> RawJson {
    if &*context.method != "tools/call" {
        return params;
    }
    match wanted(context, routed) {
        true => tasks::as_task(&params, LIFE_MS),
        false => tasks::as_no_task(&params),
    }
}

fn wanted(context: &Context, routed: &Routed) -> bool {
    let gateway = &context.served.gateway;
    let catalogue = gateway.catalogue();
    if !catalogue.capabilities_of(&routed.target).task_calls
        || !protocol::declared(&context.envelope.client_capabilities)
        || gateway.target(&routed.target).is_some_and(|target| target.modern().is_some())
    {
        return false;
    }
    let tool = catalogue.item(ListKind::Tools, &routed.exposed);
    tool.is_some_and(|tool| !matches!(Support::of(tool), Support::Forbidden))
}

/// The end of a call that became a task; none where it did not.
pub fn created(translator: &Translator, result: &RawJson) -> Option<Reply> {
    let context = &translator.context;
    if &*context.method != "tools/call" || !protocol::declared(&context.envelope.client_capabilities) {
        return None;
    }
    let session = tasks::created(result)?;
    let sealer = &context.served.gateway.sealer;
    // A result that looks like a handle and is none is the tool's own.
    let task = Task::open(sealer, owner(context), &session.id).filter(|task| *task.target == *translator.target)?;
    let place = Place {
        conversation: translator.carrier.binding.clone(),
        began: translator.began,
        life_ms: (translator.began + LIFE_MS).saturating_sub(clock::now().0),
    };
    let life_ms = place.life_ms;
    let failed = |text: &str| unreadable(context, &translator.target, text);
    let Ok(token) = (Carried { task, place: Some(place) }).seal(sealer, owner(context)) else {
        return Some(failed(&protocol::TaskError::TooLong.to_string()));
    };
    Some(match legacy::created(result, &token, life_ms) {
        Ok(handle) => {
            translator.stays();
            let handle = results::pass_modern(&handle, context.server_info());
            context.executed(ResponseBody::Result(handle))
        }
        Err(error) => failed(&error.to_string()),
    })
}

/// Answers a request about such a task.
pub async fn serve(desk: &Desk, context: &Context, params: &RawJson, known: &Known) -> Result<Reply, HttpError> {
    let done = match &*context.method {
        "tasks/get" => match desk.look(known).await {
            Ok(look) => return Ok(told(context, known, &look)),
            Err(trouble) => Err(trouble),
        },
        "tasks/update" => match input_responses(params) {
            Ok(Some(responses)) => desk.answer(known, &responses).await,
            Ok(None) => return Ok(context.invalid("`params.inputResponses` is missing", "invalid_input_responses")),
            Err(error) => return Ok(context.invalid(&error.to_string(), "invalid_input_responses")),
        },
        _ => desk.cancel(known).await,
    };
    match done {
        Ok(()) => Ok(context.complete(&RawJson::EMPTY_OBJECT)),
        Err(trouble) => in_trouble(context, &known.task.target, trouble),
    }
}

fn told(context: &Context, known: &Known, look: &Look) -> Reply {
    if let State::InputRequired(questions) = &look.state {
        let undeclared = questions.iter().find_map(|one| context.undeclared(&one.method, one.params.as_ref()));
        if let Some(refused) = undeclared {
            return refused;
        }
    }
    match legacy::detailed(&look.task, &known.token, known.place.life_ms, &look.state) {
        Ok(task) => context.complete(&task),
        Err(error) => unreadable(context, &known.task.target, &error.to_string()),
    }
}

fn in_trouble(context: &Context, target: &str, trouble: Trouble) -> Result<Reply, HttpError> {
    Ok(match trouble {
        Trouble::Gone => {
            let text =
                format!("the task is gone: the gateway's session with target `{target}` in which it ran has ended");
            context.invalid(&text, "task_gone")
        }
        Trouble::Unknown => {
            context.invalid(&format!("target `{target}` does not know this task (any more)"), "unknown_task")
        }
        Trouble::NotOffered => super::not_offered(context, target),
        Trouble::Session(sessiongate_actors::SessionError::InvalidAnswer(reason)) => {
            context.invalid(&reason, "invalid_answer")
        }
        Trouble::Session(error) => return Err(HttpError::session(error, Some(&context.id))),
        Trouble::Refused(status, body) => {
            // Statuses of sessions that mean something else where there are none.
            let status = if matches!(status, 400 | 404) { 200 } else { status };
            Reply { status, ..context.executed(body) }
        }
        Trouble::Failed(error) => context.executed(sessiongate_protocol::modern::errors::to_modern(target, &error)),
        Trouble::Late => context.target_failed(target, "it did not answer in time", "timed_out", &""),
        Trouble::Unreadable(error) => unreadable(context, target, &error.to_string()),
    })
}

fn unreadable(context: &Context, target: &str, what: &str) -> Reply {
    context.target_failed(target, &format!("it answered with {what}"), "protocol", &what)
}

/// Whether any target of a gateway has such tasks.
pub fn offered(gateway: &Gateway) -> bool {
    gateway.catalogue().capabilities().task_calls
}
