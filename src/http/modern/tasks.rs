//! Tasks of the extension `io.modelcontextprotocol/tasks`, for targets that have it: `tasks/get`, `tasks/update` and
//! `tasks/cancel` go to the target whose task it is. Questions and answers in them pass byte for byte.

use actix_web::HttpResponse;
use sessiongate_actors::gateway::Gateway;
use sessiongate_protocol::modern::ladder;
use sessiongate_protocol::modern::tasks::{self, Owner, Task};
use sessiongate_protocol::{RawJson, Request, codes};

use super::context::Context;
use super::pass::Pass;
use super::reply::Reply;
use super::route::Routed;
use super::turn::Begun;
use crate::http::HttpError;
use crate::http::caller::Caller;

/// Whether any target has tasks, and so the gateway.
pub fn offered(gateway: &Gateway) -> bool {
    gateway.catalogue().capabilities().tasks
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
pub fn open(context: &Context, token: &str) -> Option<Task> {
    Task::open(&context.served.gateway.sealer, owner(context), token)
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
    let Some(task) = open(&context, &token) else { return unknown(&context) };
    let Some(target) = gateway.target(&task.target) else { return unknown(&context) };
    let Some(exchange) = target.modern().filter(|_| carried(&context, &task.target)) else {
        // It has been there: it may be back when the target was asked again.
        gateway.wants_resync(&task.target.as_ref().into());
        let text = format!("target `{}` does not offer tasks now; it is being asked again", task.target);
        return Ok(context.failed(&text).into_response());
    };
    let routed = Routed { target: task.target.as_ref().into(), exposed: token, name: task.id, headers: None };
    let pass = Pass::new(caller, context, &params, routed, exchange)?;
    Begun::Passes(Box::new(pass)).answer(caller.gateway.streaming).await
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
