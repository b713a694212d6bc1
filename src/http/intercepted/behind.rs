//! What goes on behind a response: where an interceptor keeps the response from the client, somebody must end it.

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use sessiongate_actors::SessionError;
use sessiongate_protocol::modern::input_required::ResultType;
use sessiongate_protocol::{Message, Notification, RawJson, RequestId, Response, ResponseBody, codes, jsonrpc};

use crate::gateway::Served;
use crate::http::caller::Session;

/// What goes on behind a response. It comes with it, as an extension.
#[derive(Clone)]
pub enum Behind {
    /// A call: its answer ends it.
    Call {
        /// Its session.
        session: Session,
        /// Its id there.
        id: RequestId,
    },
    /// A call that goes on after its answer, where that holds questions, and waits for the next request of its client
    /// (2026-07-28).
    Parking {
        /// The conversation that carries it.
        session: Session,
        /// Its id there.
        id: RequestId,
    },
    /// A stream that was asked for by itself.
    Stream {
        /// Its session.
        session: Session,
    },
}

const REASON: &str = "the gateway's interceptor refused a question of this call";

// === impl Behind ===

impl Behind {
    /// Says of a response what is behind it, where an interceptor will want to know.
    pub fn note(served: &Served, response: &mut HttpResponse, behind: impl FnOnce() -> Self) {
        if Self::is_wanted(served) {
            behind().come_with(response);
        }
    }

    /// An interceptor of responses will want to know.
    pub fn is_wanted(served: &Served) -> bool {
        served.interceptors.as_ref().is_some_and(|all| all.response.is_some())
    }

    /// It comes with this response.
    pub fn come_with(self, response: &mut HttpResponse) {
        response.extensions_mut().insert(self);
    }

    /// A question is not asked: nobody will answer it.
    pub(super) async fn question_refused(&self, question: Option<&RequestId>) {
        match (self, question) {
            (Self::Call { session, id } | Self::Parking { session, id }, _) => cancel(session, id).await,
            // Whose question it is, the session knows.
            (Self::Stream { session }, Some(question)) => decline(session, question).await,
            (Self::Stream { .. }, None) => {}
        }
    }

    /// An answer is not given.
    pub(super) async fn answer_refused(&self) {
        if let Self::Parking { session, id } = self {
            cancel(session, id).await;
        }
    }

    /// Another answer is given.
    pub(super) async fn answer_replaced(&self, before: &Bytes, now: &Bytes) {
        if matches!(self, Self::Parking { .. }) && asks(before) && !asks(now) {
            self.answer_refused().await;
        }
    }
}

/// As if the client had cancelled the call.
async fn cancel(session: &Session, call: &RequestId) {
    let params = format!("{{\"requestId\":{},\"reason\":\"{REASON}\"}}", call.as_raw());
    let told = Notification { method: "notifications/cancelled".into(), params: RawJson::parse(params).ok() };
    let session = session.clone();
    finish(async move { session.notification(told).await }).await;
}

/// The answer of a client that cannot be asked.
async fn decline(session: &Session, question: &RequestId) {
    let body = jsonrpc::error_body(codes::INTERNAL_ERROR, "the gateway refused to ask the client", None);
    let answer = Response { id: Some(question.clone()), body };
    let session = session.clone();
    finish(async move { session.response(answer).await }).await;
}

/// Waits, and lets it come to its end where the client goes meanwhile.
async fn finish(work: impl Future<Output = Result<(), SessionError>> + 'static) {
    if let Ok(Err(error)) = actix_rt::spawn(work).await {
        tracing::debug!(%error, "what an interceptor refused could not be ended");
    }
}

/// A result that asks the client something.
fn asks(body: &Bytes) -> bool {
    match Message::parse(body) {
        Ok(Message::Response(Response { body: ResponseBody::Result(result), .. })) => {
            ResultType::of(&result) == ResultType::InputRequired
        }
        _ => false,
    }
}
