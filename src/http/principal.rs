//! Who calls: nobody in particular, the holder of a static API key, of a token or of an access key.
//!
//! Checked on every request: a session id is never a credential. What most requests bring is known already and answered at
//! once ([`at_once`]); only a token that was not seen before waits for its issuer, and only a signature for the body.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Bytes, Payload};
use sessiongate_actors::directory::Principal;
use sessiongate_storage::Timestamp;
use tokio::time::Instant;

use super::metadata;
use super::{HttpError, body};
use crate::auth::challenge::{Challenge, ErrorCode};
use crate::auth::jwt::{JwtAuthorizer, JwtError, Verified};
use crate::auth::policy::{self, Asked, Verdict};
use crate::auth::sigv4::{Caller as Signer, RequestParts, SigV4Error};
use crate::gateway::{Found, INVOKE, Iam, Inbound, Runtime};

/// The parameter of RFC 6750 (2.3).
const TOKEN_PARAMETER: &str = "access_token";

/// Who calls, and what is known of them.
pub struct Identity {
    /// Whose sessions these are.
    pub principal: Principal,
    /// From here on the credential is no good: what is open for long ends.
    pub until: Option<Instant>,
    /// The body, where it had to be read to know who calls.
    pub body: Option<Bytes>,
    /// Who signs.
    signer: Option<Signer>,
}

// === impl Identity ===

impl Identity {
    /// Somebody of whom nothing else is known.
    pub fn of(principal: Principal) -> Self {
        Self { principal, until: None, body: None, signer: None }
    }

    fn bearer(verified: &Verified, leeway: Duration, now: Timestamp) -> Self {
        Self {
            principal: verified.principal.clone(),
            until: Some(Instant::now() + verified.expires_at.plus(leeway).since(now)),
            body: None,
            signer: None,
        }
    }
}

/// Who calls, if that can be said without waiting.
pub fn at_once(runtime: &Runtime, found: &Found, request: &HttpRequest) -> Result<Option<Identity>, HttpError> {
    let access = &found.served.access;
    if access.is_anonymous() {
        return Ok(Some(Identity::of(Principal::anonymous())));
    }
    if has_token(request.query_string()) {
        let challenge = match access.inbound {
            Inbound::Tokens(_) => {
                Some(challenge(Challenge::new().error(ErrorCode::InvalidRequest), runtime, found, request))
            }
            _ => None,
        };
        return Err(HttpError::TokenInQuery { challenge });
    }
    let bearer = bearer(request)?;
    if let Some(principal) = bearer.and_then(|presented| access.keys.holder(presented)) {
        return Ok(Some(Identity::of(principal)));
    }
    match &access.inbound {
        // RFC 6750, 3.1: who sent no credential is not told of an error.
        Inbound::Open => Err(if bearer.is_some() { HttpError::UnknownKey } else { HttpError::Unauthorized }),
        Inbound::Closed => Err(HttpError::NoAuthorizer),
        Inbound::Signatures(_) => Ok(None),
        Inbound::Tokens(authorizer) => {
            let now = wall_clock();
            let known = bearer.and_then(|token| authorizer.recall(token, now));
            Ok(known.map(|verified| Identity::bearer(&verified, authorizer.leeway(), now)))
        }
    }
}

/// Who calls, where that has to be found out.
pub async fn find_out(
    runtime: &Runtime,
    found: &Found,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Identity, HttpError> {
    match &found.served.access.inbound {
        Inbound::Tokens(authorizer) => {
            let now = wall_clock();
            let token = bearer(request)?.unwrap_or_default();
            match authorizer.verify(token, now).await {
                Ok(verified) => Ok(Identity::bearer(&verified, authorizer.leeway(), now)),
                Err(error) => Err(refused(error, authorizer, runtime, found, request)),
            }
        }
        Inbound::Signatures(iam) => signed(iam, runtime, request, payload).await,
        Inbound::Open | Inbound::Closed => Err(HttpError::NoAuthorizer),
    }
}

/// Whether the resource policy lets them in. A policy that is there must allow everybody (`*`) for callers without an
/// ARN, and callers of other accounts by name; a statement that denies wins.
pub fn permit(runtime: &Runtime, found: &Found, identity: &Identity, request: &HttpRequest) -> Result<(), HttpError> {
    let served = &found.served;
    let arn = identity.signer.as_ref().map(Signer::principal_arn);
    let verdict = match runtime.policy(&served.id) {
        Some(attached) => attached.policy.judge(&Asked {
            principal: arn,
            action: INVOKE,
            resource: &attached.resource,
            source: request.peer_addr().map(|peer| peer.ip()),
        }),
        // The authorizer has decided; only who is of another account needs more.
        None if arn.is_none() => return Ok(()),
        None => Verdict::Silent,
    };
    let own = match &served.access.inbound {
        Inbound::Signatures(iam) => arn.and_then(policy::account) == Some(&*iam.account),
        _ => false,
    };
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Silent if own => Ok(()),
        Verdict::Silent => Err(HttpError::AccessDenied(format!(
            "{INVOKE} is not allowed: no resource policy of this gateway allows it"
        ))),
        Verdict::Denied => {
            Err(HttpError::AccessDenied(format!("{INVOKE} is denied by the resource policy of this gateway")))
        }
    }
}

/// The token of the `Authorization` header.
fn bearer(request: &HttpRequest) -> Result<Option<&str>, HttpError> {
    let mut all = request.headers().get_all(AUTHORIZATION);
    let first = all.next();
    if all.next().is_some() {
        return Err(HttpError::Header("`Authorization` is there more than once".into()));
    }
    Ok(first.and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }))
}

/// Most queries are none, or plainly about something else.
fn has_token(query: &str) -> bool {
    (query.contains('%') || query.contains(TOKEN_PARAMETER))
        && url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == TOKEN_PARAMETER)
}

fn refused(
    error: JwtError,
    authorizer: &JwtAuthorizer,
    runtime: &Runtime,
    found: &Found,
    request: &HttpRequest,
) -> HttpError {
    tracing::debug!(gateway = &*found.served.gateway.name, %error, detail = error.detail(), "a token was refused");
    let challenge =
        error.challenge().map(|text| challenge(text.scopes(&authorizer.advertised_scopes()), runtime, found, request));
    HttpError::Token { error: Box::new(error), challenge }
}

/// A challenge that leads to the gateway's metadata (RFC 9728, 5.1).
fn challenge(challenge: Challenge, runtime: &Runtime, found: &Found, request: &HttpRequest) -> Box<str> {
    let challenge = match metadata::resource(runtime, &found.served, found.by_host, request) {
        Ok(Some(resource)) => challenge.resource_metadata(crate::auth::resource_metadata::url_of(&resource)),
        _ => challenge,
    };
    challenge.to_string().into()
}

async fn signed(
    iam: &Iam,
    runtime: &Runtime,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Identity, HttpError> {
    let headers = request.headers();
    if !headers.contains_key(AUTHORIZATION) {
        return Err(signature(SigV4Error::Missing));
    }
    let uri = request.uri();
    let parts = |body| RequestParts {
        method: request.method().as_str(),
        raw_path: uri.path(),
        raw_query: uri.query().unwrap_or_default(),
        headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
        authority: metadata::host(request)
            .or_else(|| uri.authority().map(|authority| authority.as_str()))
            .unwrap_or_default(),
        body,
    };
    // What anybody could send is not worth the memory.
    iam.verifier.precheck(parts(&[]), SystemTime::now()).map_err(signature)?;
    let announced = body::announced(headers);
    let (body, _held) = body::read_unproven(payload, runtime.body_limit(), announced, runtime.waiting()).await?;
    let caller = iam.verifier.verify(parts(&body[..]), SystemTime::now()).map_err(signature)?.caller;
    if !caller.allows(INVOKE) {
        let who = caller.principal_arn();
        return Err(HttpError::AccessDenied(format!(
            "{who} has no permission {INVOKE}: it needs one in `control.credentials`"
        )));
    }
    let principal = Iam::principal(caller.principal_arn());
    Ok(Identity { body: Some(body), signer: Some(caller), ..Identity::of(principal) })
}

fn signature(error: SigV4Error) -> HttpError {
    tracing::debug!(detail = error.log_detail(), "a signature was refused");
    HttpError::Signature(Box::new(error))
}

/// Tokens say when they end by the clock on the wall: a machine that slept must not take them for younger.
fn wall_clock() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_credential_stands_once_in_the_header() {
        let read = |values: &[&str]| {
            let mut request = TestRequest::default();
            for value in values {
                request = request.append_header((AUTHORIZATION, *value));
            }
            let request = request.to_http_request();
            bearer(&request).map(|token| token.map(str::to_owned)).map_err(|error| error.code())
        };
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(read(&["bEARER  abc "]), Ok(Some("abc".into())));
        for other in [&["Basic abc"][..], &["Bearer"], &["abc"], &[]] {
            assert_eq!(read(other), Ok(None), "{other:?}");
        }
        assert_eq!(read(&["Bearer a", "Bearer b"]), Err("bad_header"));
    }

    #[test]
    fn a_token_in_the_query_is_seen_however_it_is_written() {
        for query in ["access_token=x", "a=b&access_token=", "access%5Ftoken=x", "%61%63%63ess_token"] {
            assert!(has_token(query), "{query}");
        }
        for query in ["", "a=access_token", "my_access_token=x", "a=%20access_token", "access+token=%20"] {
            assert!(!has_token(query), "{query}");
        }
    }
}
