//! Which conversation with a target carries a request of a client that has no sessions: one of the gateway's own sessions,
//! shared with other requests of the same principal as far as the target's `affinity` says (mcp-protocol 4.9, P3).

pub mod handle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::HeaderMap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sessiongate_actors::SessionError;
use sessiongate_actors::directory::{NewSession, Principal, SessionDirectory};
use sessiongate_actors::gateway::Gateway;
use sessiongate_actors::session::SessionHandle;
use sessiongate_actors::session::core::EndReason;
use sessiongate_actors::settings::Affinity;
use sessiongate_protocol::modern::profile;
use sessiongate_protocol::{RawJson, Revision};
use tokio::sync::oneshot;

use super::context::Context;
use super::reply::Reply;
use super::route::Routed;
use crate::http::HttpError;
use crate::http::caller::Caller;

/// The longest value of a header that keeps conversations apart.
const VALUE: usize = 256;
/// Random bytes of what nobody may guess.
const RANDOM: usize = 24;
/// Begins the binding of a conversation that belongs to one call: no hash has such a character.
const ALONE: &str = "call:";
/// Begins the binding of a conversation that the client opened.
const OPENED: &str = "handle:";

/// The conversation of a request.
pub struct Carrier {
    /// By which the directory finds it.
    pub binding: Box<str>,
    /// It belongs to this call.
    pub alone: Option<Arc<Alone>>,
}

/// Ends a conversation that belongs to one call when the last one who knows it lets go, unless the call waits for its
/// client then.
pub struct Alone {
    directory: Arc<SessionDirectory>,
    gateway: Arc<Gateway>,
    principal: Principal,
    binding: Box<str>,
    stays: AtomicBool,
}

/// Why a request has no conversation.
pub enum Stop {
    /// It is refused.
    Refused(HttpError),
    /// It is answered.
    Answered(Reply),
}

// === impl Carrier ===

impl Carrier {
    /// The conversation that the target's affinity gives this request, and its parameters as the target gets them.
    pub fn choose(
        caller: &Caller<'_>,
        context: &Context,
        params: &RawJson,
        routed: &Routed,
    ) -> Result<(Self, RawJson), Stop> {
        let gateway = &caller.gateway.gateway;
        let affinity = gateway.catalogue().target(&routed.target).map(|target| target.settings.affinity.clone());
        let carrier = match affinity.unwrap_or_default() {
            Affinity::Principal => Self::shared(context, None),
            Affinity::Call => Self::fresh(caller, ALONE).map_err(Stop::Refused)?,
            Affinity::Header(name) => {
                let value = header(caller.headers(), &name)
                    .map_err(|reason| Stop::Refused(HttpError::Header(reason).with_id(Some(&context.id))))?;
                Self::shared(context, value.map(|value| (&*name, value)))
            }
            Affinity::Handle => match handle::taken(gateway, context, params, routed).map_err(Stop::Answered)? {
                Some(taken) => {
                    let binding = taken.handle.as_deref().map(|handle| handle::binding(&routed.target, handle));
                    let carrier = match binding {
                        Some(binding) => Self { binding, alone: None },
                        None => Self::shared(context, None),
                    };
                    return Ok((carrier, taken.params));
                }
                None => Self::shared(context, None),
            },
        };
        Ok((carrier, params.clone()))
    }

    /// What requests that share a session have in common: what their client can be asked (a downstream session declares
    /// it once), and what keeps conversations apart at this target. The principal is added by the directory.
    fn shared(context: &Context, header: Option<(&str, &str)>) -> Self {
        let profile = profile::legacy_capabilities(&context.envelope.client_capabilities);
        let binding = match header {
            None => hash(&[profile.as_str()]),
            Some((name, value)) => hash(&[profile.as_str(), name, value]),
        };
        Self { binding: binding.into(), alone: None }
    }

    fn fresh(caller: &Caller<'_>, kind: &str) -> Result<Self, HttpError> {
        Ok(Self::owned(caller, format!("{kind}{}", random()?).into()))
    }

    fn owned(caller: &Caller<'_>, binding: Box<str>) -> Self {
        let alone = Alone {
            directory: caller.runtime.directory().clone(),
            gateway: caller.gateway.gateway.clone(),
            principal: caller.principal.clone(),
            binding: binding.clone(),
            stays: AtomicBool::new(false),
        };
        Self { binding, alone: Some(Arc::new(alone)) }
    }

    /// The conversation that a call was left in, which still belongs to it if it did then.
    pub fn again(caller: &Caller<'_>, binding: &str) -> Self {
        match binding.starts_with(ALONE) {
            true => Self::owned(caller, binding.into()),
            false => Self { binding: binding.into(), alone: None },
        }
    }

    /// The client opened it: there is no other in its place.
    pub fn is_opened(&self) -> bool {
        self.binding.starts_with(OPENED)
    }

    /// The session, a new one where that may be.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] where it may not be.
    pub async fn session(&self, caller: &Caller<'_>, context: &Context) -> Result<Arc<SessionHandle>, SessionError> {
        let (directory, gateway) = (caller.runtime.directory(), &caller.gateway.gateway);
        let Some(alone) = &self.alone else {
            if self.is_opened() {
                return directory.find_conversation(gateway, &caller.principal, &self.binding).await;
            }
            let new = || new_session(context);
            return directory.conversation(gateway, &caller.principal, &self.binding, new).await;
        };
        // Made apart from the request: a client that hangs up meanwhile leaves nothing behind.
        let (sender, made) = oneshot::channel();
        let (alone, new) = (alone.clone(), new_session(context));
        actix_rt::spawn(async move {
            let made = alone.directory.conversation(&alone.gateway, &alone.principal, &alone.binding, || new).await;
            let _ = sender.send(made);
            drop(alone);
        });
        made.await.unwrap_or(Err(SessionError::Crashed))
    }
}

// === impl Alone ===

impl Alone {
    /// The call waits for its client, or goes on for another request.
    pub fn stays(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.stays.load(Ordering::Relaxed) {
            return;
        }
        let (directory, gateway) = (self.directory.clone(), self.gateway.clone());
        let (principal, binding) = (self.principal.clone(), std::mem::take(&mut self.binding));
        actix_rt::spawn(async move {
            // What cannot be ended now ends when it has been idle for long enough.
            if let Err(error) = directory.end_conversation(&gateway, &principal, &binding, EndReason::Deleted).await {
                tracing::debug!(%error, "the session of a call could not be ended");
            }
        });
    }
}

/// What a session of the gateway's own says for this client.
fn new_session(context: &Context) -> NewSession {
    NewSession {
        revision: Revision::LATEST_LEGACY,
        capabilities: profile::legacy_capabilities(&context.envelope.client_capabilities),
        client_info: context.client_info(),
        max_name_length: None,
        // Each request says for itself where it came through.
        via: None,
    }
}

/// The value of a header that keeps conversations apart. One that cannot be read is refused: the requests that it should
/// keep apart must not meet.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    let visible = (1..=VALUE).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(bytes) {
        Ok(text) if visible && values.next().is_none() => Ok(Some(text)),
        _ => Err(format!("`{name}` must be one value of 1 to {VALUE} visible ASCII characters")),
    }
}

fn random() -> Result<String, HttpError> {
    let mut random = [0u8; RANDOM];
    // The operating system gives none: nothing that the client could do better.
    rand::fill(&mut random).map_err(|_| HttpError::session(SessionError::Overloaded, None))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// 128 bits of the hash of some texts.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, &all).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_header_that_cannot_be_read_is_no_absent_header() {
        let of = |values: &[&str]| {
            let mut request = TestRequest::default();
            for value in values {
                request = request.append_header(("x-conversation", *value));
            }
            header(request.to_http_request().headers(), "x-conversation").map(|value| value.map(str::to_owned))
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["a"]), Ok(Some("a".to_owned())));
        assert_eq!(of(&[&"a".repeat(256)]), Ok(Some("a".repeat(256))));
        for values in [&[""][..], &[&"a".repeat(257)], &["a b"], &["\u{e9}"], &["a", "a"]] {
            assert!(of(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn bindings_differ_by_each_part() {
        let all = [hash(&["ab"]), hash(&["a", "b"]), hash(&["a", "b", ""]), hash(&["", "ab"])];
        for (at, one) in all.iter().enumerate() {
            assert!(!one.contains(':') && all[..at].iter().all(|other| other != one));
        }
    }
}
