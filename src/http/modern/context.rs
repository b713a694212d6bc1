//! What is known of a request for as long as it runs.

use std::fmt::Debug;
use std::sync::Arc;

use sessiongate_actors::clock;
use sessiongate_actors::exception::Reference;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::caching::Caching;
use sessiongate_protocol::modern::envelope::{Envelope, LogLevel, Opened};
use sessiongate_protocol::modern::request_state::{Binding, args_digest};
use sessiongate_protocol::modern::{ladder, profile, results};
use sessiongate_protocol::{RawJson, Request, RequestId, ResponseBody, codes, jsonrpc};

use super::reply::Reply;
use crate::gateway::Served;
use crate::http::caller::{Caller, unknown_client};

/// A request, without its parameters.
pub struct Context {
    pub served: Arc<Served>,
    /// The client's id.
    pub id: RequestId,
    pub method: Box<str>,
    pub envelope: Envelope,
    /// Hashed.
    pub principal: Box<str>,
    /// The name or URI that the client wrote.
    pub name: Box<str>,
    params: Option<RawJson>,
}

/// What cannot be executed, as the answer to a request that was understood: HTTP 200.
pub struct Refused {
    pub code: i64,
    pub message: String,
    pub data: Option<serde_json::Value>,
}

// === impl Context ===

impl Context {
    pub fn new(caller: &Caller<'_>, request: &Request, envelope: Envelope, params: &Opened<'_>) -> Self {
        let name = match &*request.method {
            "tools/call" | "prompts/get" => params.text("name").ok(),
            "resources/read" => params.text("uri").ok(),
            _ => None,
        };
        Self {
            id: request.id.clone(),
            method: request.method.clone(),
            envelope,
            principal: caller.principal.as_str().into(),
            name: name.unwrap_or_default().into(),
            params: request.params.clone(),
            served: caller.gateway.clone(),
        }
    }

    /// What a sealed state of this request is bound to.
    pub fn binding(&self) -> Binding<'_> {
        Binding {
            gateway: &self.served.gateway.name,
            principal: self.principal.as_bytes(),
            method: &self.method,
            name: &self.name,
            args_digest: self.params.as_ref().map(args_digest).unwrap_or_default(),
        }
    }

    pub fn server_info(&self) -> &RawJson {
        &self.served.server_info
    }

    /// What the client says of itself, or that it says nothing.
    pub fn client_info(&self) -> RawJson {
        self.envelope.client_info.clone().unwrap_or_else(unknown_client)
    }

    /// A complete result of a legacy target or of the gateway itself.
    pub fn complete(&self, result: &RawJson) -> Reply {
        self.complete_for(result, Caching::NONE)
    }

    /// The same, good for a while.
    pub fn complete_for(&self, result: &RawJson, caching: Caching) -> Reply {
        let result = results::to_modern(&self.method, result, self.server_info(), Some(caching));
        self.executed(ResponseBody::Result(result))
    }

    /// What came of executing it.
    pub fn executed(&self, body: ResponseBody) -> Reply {
        Reply::executed(&self.id, &body)
    }

    pub fn reply(&self, refused: Refused) -> Reply {
        Reply::error(200, &self.id, refused.code, &refused.message, refused.data.as_ref())
    }

    /// An invalid request, found while executing it.
    pub fn invalid(&self, message: &str, reason: &str) -> Reply {
        let data = serde_json::json!({"reason": reason});
        Reply::error(200, &self.id, codes::INVALID_PARAMS, message, Some(&data))
    }

    /// The request fails in the gateway: a tool error where a model reads it, else an error.
    pub fn failed(&self, text: &str) -> Reply {
        if &*self.method == "tools/call" {
            let result = serde_json::json!({"content": [{"type": "text", "text": text}], "isError": true});
            return self.complete(&RawJson::from_serialize(&result).unwrap_or(RawJson::EMPTY_OBJECT));
        }
        self.executed(jsonrpc::error_body(codes::INTERNAL_ERROR, text, None))
    }

    /// The request fails because of its target, or on the way there: told as the gateway's level says. `detail` is for the
    /// log.
    pub fn target_failed(&self, target: &str, text: &str, reason: &'static str, detail: &dyn Debug) -> Reply {
        let message = format!("target `{target}`: {text}");
        let reference = || Reference::of((&*self.principal, self.id.as_raw(), clock::now().0));
        let told = self.served.gateway.settings().exceptions.tell(&message, reason, reference);
        if let Some(reference) = told.reference {
            tracing::warn!(
                %reference,
                target_name = target,
                method = &*self.method,
                error = reason,
                text,
                ?detail,
                "a call failed, and its client was told so in general"
            );
        }
        if &*self.method == "tools/call" {
            return match told.tool_result() {
                ResponseBody::Result(result) => self.complete(&result),
                error => self.executed(error),
            };
        }
        self.executed(told.error(codes::INTERNAL_ERROR))
    }

    /// Whether this request asked for a log message of this level; without a level it asked for none.
    pub fn hears(&self, params: &RawJson) -> bool {
        let Some(wanted) = self.envelope.log_level else { return false };
        let level = Members::of(params).ok().and_then(|members| members.get_str("level")?.parse::<LogLevel>().ok());
        level.is_some_and(|level| wanted <= level)
    }

    /// What of the client's capabilities holds through the gateway: all but the extensions whose messages it does not
    /// carry to this target.
    pub fn relayed_capabilities(&self, tasks: bool) -> RawJson {
        match self.envelope.has_extensions {
            true => profile::relayed_capabilities(&self.envelope.client_capabilities, tasks),
            false => self.envelope.client_capabilities.clone(),
        }
    }

    /// What a -32021 of a target asks for, if this request did not declare it.
    pub fn required_of(&self, error: &RawJson) -> Option<serde_json::Value> {
        let data: serde_json::Value = serde_json::from_str(Members::of(error).ok()?.get("data")?.get()).ok()?;
        let required = data.get("requiredCapabilities").filter(|required| required.is_object())?.clone();
        (!profile::declares(&self.envelope.client_capabilities, &required)).then_some(required)
    }

    /// The refusal where this request did not declare what a target needs.
    pub fn undeclared(&self, method: &str, params: Option<&RawJson>) -> Option<Reply> {
        let required = profile::required_for(method, params);
        let declared = profile::declares(&self.envelope.client_capabilities, &required);
        (!declared).then(|| Reply::refused(&self.id, &ladder::missing_capability(required)))
    }
}
