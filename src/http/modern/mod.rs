//! Requests of the modern era (2026-07-28): each stands alone. They come to the same URL, the same catalogue and the same
//! targets as those of sessions.
//!
//! A target of the same era gets the request passed through ([`pass`]). For a target that has sessions the request is
//! carried by one of the gateway's own ([`converse`]): a question that comes in the middle of the call becomes an
//! `input_required` result, and the call waits in the session until the client comes back with the answers.

mod affinity;
mod context;
mod converse;
mod discover;
mod listen;
mod lists;
mod park;
mod pass;
mod reply;
mod route;
mod search;
mod tasks;
mod turn;

use actix_web::HttpResponse;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::modern::envelope::{Envelope, Opened};
use sessiongate_protocol::{Request, codes};

use super::HttpError;
use super::caller::Caller;
use context::Context;
use pass::Pass;
use reply::Reply;
use turn::Begun;

pub use reply::refusal;
pub use route::ambiguous;

/// Answers one request whose envelope is in order; `params` are its parameters, read.
pub async fn serve(
    caller: &Caller<'_>,
    request: &Request,
    envelope: Envelope,
    params: &Opened<'_>,
) -> Result<HttpResponse, HttpError> {
    if caller.runtime.is_shutting_down() {
        return Err(HttpError::ShuttingDown);
    }
    let context = Context::new(caller, request, envelope, params);
    if let Some(list) = ListKind::of_method(&request.method) {
        return lists::serve(caller, list, request, context).await;
    }
    match &*request.method {
        "server/discover" => Ok(discover::serve(&context)),
        "subscriptions/listen" => listen::serve(caller, request, context).await,
        "tasks/get" | "tasks/update" | "tasks/cancel" => tasks::serve(caller, request.clone(), context).await,
        "tools/call" | "prompts/get" | "resources/read" | "completion/complete" => {
            if let Some(reply) = search::run(caller, &context, request.params.as_ref()) {
                return Ok(reply.into_response());
            }
            if let Some(reply) = affinity::handle::run(caller, &context, request.params.as_ref()).await {
                return Ok(reply?.into_response());
            }
            let routed = match route::find(caller, &request.method, params) {
                Ok(routed) => routed,
                Err(refused) => return Ok(context.reply(refused).into_response()),
            };
            if let Err(reply) = route::check_headers(caller, &request.id, params, &routed) {
                return Ok(reply.into_response());
            }
            let exchange = match caller.gateway.gateway.target(&routed.target) {
                None => None,
                Some(target) => match target.modern() {
                    Some(exchange) => Some(exchange),
                    None if !target.is_era_open() => None,
                    None => match route::find_era(caller, &*target, &context).await {
                        Ok(exchange) => exchange,
                        Err(reply) => return Ok(reply.into_response()),
                    },
                },
            };
            match exchange {
                Some(exchange) => {
                    let pass = Pass::of(caller, context, params, routed, exchange)?;
                    Begun::Passes(Box::new(pass)).answer(caller.streams()).await
                }
                None => converse::serve(caller, request.clone(), context, routed).await,
            }
        }
        method => {
            let message = format!("{method} is not offered here");
            Ok(Reply::error(404, &request.id, codes::METHOD_NOT_FOUND, &message, None).into_response())
        }
    }
}
