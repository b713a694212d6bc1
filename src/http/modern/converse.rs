//! A request for a target that has sessions, carried by a session of the gateway's own.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use sessiongate_actors::SessionError;
use sessiongate_actors::session::{CallAnswer, SessionHandle};
use sessiongate_protocol::meta::ProgressToken;
use sessiongate_protocol::modern::envelope;
use sessiongate_protocol::modern::input_required::{RequestState, without_rounds};
use sessiongate_protocol::{RawJson, Request, RequestId, meta};
use uuid::Uuid;

use super::affinity::{Carrier, Stop, handle};
use super::context::Context;
use super::park;
use super::route::Routed;
use super::tasks;
use super::turn::{Begun, Running, Translator, Turn};
use crate::http::HttpError;
use crate::http::caller::{Caller, Session};

/// A request follows its conversation out of memory and back this often.
const MAX_MOVES: u32 = 3;
/// A call that is quiet for this long gets a stream, so that proxies see life.
pub const QUIET: Duration = Duration::from_secs(5);

/// Calls, prompts, resources, completions.
pub async fn serve(
    caller: &Caller<'_>,
    request: Request,
    context: Context,
    routed: Routed,
) -> Result<HttpResponse, HttpError> {
    let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
    let state = match RequestState::of(&params) {
        Ok(state) => state,
        Err(error) => return Ok(context.invalid(&error.to_string(), "invalid_request_state").into_response()),
    };
    let turn = match state {
        Some(state) => park::resume(caller, context, &params, &state, routed).await?,
        None => begin(caller, context, &params, routed, None).await?,
    };
    turn.answer(caller.streams()).await
}

/// A list of a gateway that asks its targets each time.
pub async fn list(caller: &Caller<'_>, request: Request, context: Context) -> Result<HttpResponse, HttpError> {
    let params = request.params.unwrap_or(RawJson::EMPTY_OBJECT);
    let nobody = Routed { target: "".into(), exposed: "".into(), name: "".into(), headers: None };
    begin(caller, context, &params, nobody, None).await?.answer(caller.streams()).await
}

/// Sends the request to the target, in its conversation, or in the one that an earlier try has left.
pub async fn begin(
    caller: &Caller<'_>,
    context: Context,
    params: &RawJson,
    routed: Routed,
    again: Option<Carrier>,
) -> Result<Begun, HttpError> {
    let chosen = match again {
        Some(carrier) => Ok((carrier, params.clone())),
        None => Carrier::choose(caller, &context, params, &routed),
    };
    let (carrier, params) = match chosen {
        Ok(chosen) => chosen,
        Err(Stop::Answered(reply)) => return Ok(Begun::Done(reply)),
        Err(Stop::Refused(error)) => return Err(error),
    };
    let call = RequestId::string(&Uuid::new_v4().simple().to_string());
    let params = internal_params(&context, &params, &routed, &call);
    let request = Request { id: call.clone(), method: context.method.clone(), params: Some(params) };
    let (handle, running, answer) = match send(caller, &context, &carrier, &request).await {
        Err(HttpError::Session { error: SessionError::NotFound, .. }) if carrier.is_opened() => {
            return Ok(Begun::Done(handle::unknown(&caller.gateway.gateway, &context, &routed.target)));
        }
        sent => sent?,
    };
    let began = handle.created().0;
    let translator = Translator { context, target: routed.target, carrier, call, began };
    let reply = match answer {
        CallAnswer::Stream(attachment) => {
            let session = Session::of(handle);
            return Ok(Begun::Runs(Box::new(Turn::new(translator, session, attachment, running, None))));
        }
        CallAnswer::Json(body) => translator.response(&body),
        CallAnswer::Refused { status, body } => translator.refusal(status, &body),
        CallAnswer::Cancelled => translator.context.failed("the call was cancelled"),
    };
    running.done();
    Ok(Begun::Done(reply))
}

async fn send(
    caller: &Caller<'_>,
    context: &Context,
    carrier: &Carrier,
    request: &Request,
) -> Result<(Arc<SessionHandle>, Running, CallAnswer), HttpError> {
    let refused = |error| HttpError::session(error, Some(&context.id));
    for _ in 0..MAX_MOVES {
        let handle = carrier.session(caller, context).await.map_err(refused)?;
        // A client that hangs up cancels.
        let running = Running::new(handle.clone(), request.id.clone());
        let (level, passed) = (context.envelope.log_level, caller.passed.clone());
        let answer = match handle.request_with(request.clone(), true, level, passed) {
            Ok(pending) => pending.answer(QUIET).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => return Ok((handle, running, answer)),
            Err(error) => {
                running.done();
                match error {
                    SessionError::Left if caller.runtime.is_shutting_down() => return Err(HttpError::ShuttingDown),
                    // Nobody looked at it.
                    SessionError::Left => {}
                    error => return Err(refused(error)),
                }
            }
        }
    }
    Err(refused(SessionError::Overloaded))
}

/// The parameters as the session gets them: no envelope, no answers of an earlier round, a progress token of our own
/// (those of different clients may be the same).
fn internal_params(context: &Context, params: &RawJson, routed: &Routed, call: &RequestId) -> RawJson {
    let params = tasks::legacy::asked(context, routed, without_rounds(&envelope::remove(params)));
    let token = context.envelope.progress_token.as_ref().and_then(|_| ProgressToken::from_raw(call.as_raw()));
    let params = meta::with_progress_token(&params, token.as_ref()).unwrap_or(params);
    match &*context.method {
        "tools/call" | "prompts/get" if *context.name != *routed.exposed => {
            meta::with_name(&params, &routed.exposed).unwrap_or(params)
        }
        _ => params,
    }
}
