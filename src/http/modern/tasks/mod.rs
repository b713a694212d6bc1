//! Tasks of the extension `io.modelcontextprotocol/tasks`: `tasks/get`, `tasks/update` and `tasks/cancel` go to the target
//! whose task it is. One that has the extension gets them passed through, questions and answers byte for byte; one that
//! has sessions, and the tasks of 2025-11-25, is asked in its own words ([`legacy`]).

mod desk;
pub mod legacy;

use actix_web::HttpResponse;
use sessiongate_actors::gateway::Gateway;
use sessiongate_protocol::modern::ladder;
use sessiongate_protocol::modern::tasks::{self, Carried, Owner};
use sessiongate_protocol::{RawJson, Request, codes};

use super::context::Context;
use super::pass::Pass;
use super::reply::Reply;
use super::route::Routed;
use super::turn::Begun;
use crate::http::HttpError;
use crate::http::caller::Caller;

pub use desk::{Desk, Known, Trouble};

/// Whether any target has tasks, and so the gateway.
pub fn offered(gateway: &Gateway) -> bool {
    gateway.catalogue().capabilities().tasks || legacy::offered(gateway)
}

/// Whether this request may be answered with a task of this target, or use one.
pub fn carried(context: &Context, target: &str) -> bool {
    let has = context.served.gateway.catalogue().capabilities_of(target).tasks;
    has && tasks::declared(&context.envelope.client_capabilities)
}

/// A result that hands out a task; none where it hands out nothing that can be passed on.
pub fn created(context: &Context, target: &str, result: &RawJson) -> Result<RawJson, tasks::TaskError> {
    tasks::created(result, target, &context.served.gateway.sealer, owner(context))
}

/// The task of a client's id.
pub fn open(context: &Context, token: &str) -> Option<Carried> {
    Carried::open(&context.served.gateway.sealer, owner(context), token)
}

/// Answers a request about a task.
pub async fn serve(caller: &Caller<'_>, request: Request, context: Context) -> Result<HttpResponse, HttpError> {
    let gateway = &caller.gateway.gateway;
    if !offered(gateway) {
        return Ok(Reply::refused(&request.id, &ladder::unknown_method(&request.method)).into_response());
    }
    if let Some(reply) = undeclared(&context) {
        return Ok(reply.into_response());
    }
    let params = request.params.unwrap_or(RawJson::EMPTY_OBJECT);
    let Some(token) = tasks::id_of(&params) else {
        return Ok(context.invalid("`params.taskId` must be a string", "invalid_params").into_response());
    };
    let unknown = |context: &Context| {
        // Foreign, invented and long gone look the same.
        let reply = context.invalid("there is no task with this id", "unknown_task");
        Ok(reply.into_response())
    };
    let Some(Carried { task, place }) = open(&context, &token) else { return unknown(&context) };
    let Some(target) = gateway.target(&task.target) else { return unknown(&context) };
    if let Some(place) = place {
        let known = Known { token, task, place };
        return Ok(legacy::serve(&Desk::of(caller), &context, &params, &known).await?.into_response());
    }
    let Some(exchange) = target.modern().filter(|_| carried(&context, &task.target)) else {
        return Ok(not_offered(&context, &task.target).into_response());
    };
    let routed = Routed { target: task.target.as_ref().into(), exposed: token, name: task.id, headers: None };
    let pass = Pass::new(caller, context, &params, routed, exchange)?;
    Begun::Passes(Box::new(pass)).answer(caller.streams()).await
}

/// It has been there: it may be back when the target was asked again.
fn not_offered(context: &Context, target: &str) -> Reply {
    context.served.gateway.wants_resync(&target.into());
    let text = "it does not offer tasks now; it is being asked again";
    context.target_failed(target, text, "protocol", &text)
}

/// The refusal of a request that uses the extension and does not declare it.
pub fn undeclared(context: &Context) -> Option<Reply> {
    if tasks::declared(&context.envelope.client_capabilities) {
        return None;
    }
    let message = "requests about tasks declare the extension `io.modelcontextprotocol/tasks`";
    let data = serde_json::json!({"requiredCapabilities": tasks::required()});
    Some(Reply::error(400, &context.id, codes::MISSING_CLIENT_CAPABILITY, message, Some(&data)))
}

fn owner(context: &Context) -> Owner<'_> {
    Owner { gateway: &context.served.gateway.name, principal: context.principal.as_bytes() }
}
