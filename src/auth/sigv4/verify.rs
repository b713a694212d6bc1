//! Verification: is this request the one that the holder of an access key signed?

use std::time::{Duration, SystemTime};

use super::canonical::{self, Headers, Query};
use super::error::{Malformed, PayloadFault, ScopeFault, SigV4Error};
use super::instant;
use super::keys::{AccessKeys, Caller};
use super::presented::{Form, Presented};

/// The signing name of AgentCore, control and data plane.
pub const SERVICE: &str = "bedrock-agentcore";
const DEFAULT_SKEW: Duration = Duration::from_secs(5 * 60);
/// The default of botocore's `generate_presigned_url`.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// `X-Amz-` headers that content delivery networks and browsers add. Nothing here reads them.
const NOISE: [&str; 2] = ["x-amz-cf-id", "x-amz-user-agent"];

/// A request as it came in, before anything was decoded or rewritten.
#[derive(Clone, Copy)]
pub struct RequestParts<'a, H> {
    /// As sent, in upper case.
    pub method: &'a str,
    /// Still percent-encoded, without the query.
    pub raw_path: &'a str,
    /// Still percent-encoded, without the question mark; empty if there is none.
    pub raw_query: &'a str,
    /// Every header line, in order. May contain Host, which must then equal `authority`.
    pub headers: H,
    /// What the client signed as its host, port included, exactly as received: the Host header, or `:authority` of
    /// HTTP/2.
    pub authority: &'a str,
    /// The whole body.
    pub body: &'a [u8],
}

/// What a signature must satisfy beyond being right.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The service of the credential scope.
    pub service: Box<str>,
    /// The only region accepted. `None`: whichever the client has.
    pub region: Option<Box<str>>,
    /// How far the clocks may differ. 5 minutes.
    pub skew: Duration,
    /// The longest lifetime of a presigned request; `None` refuses them. One hour.
    pub presigned: Option<Duration>,
    /// Whether `UNSIGNED-PAYLOAD` is taken. Not by default: the body would be open to change.
    pub unsigned_payload: bool,
    /// Headers (lower case) that must be signed if they are sent, beyond `host` and `x-amz-*`. None by default: boto3
    /// signs all it sends, others do not.
    pub signed_if_sent: Vec<Box<str>>,
    /// Headers that begin so (lower case) must be signed if they are sent and one of them is signed. `mcp-`: what signs
    /// one of them signs them all (botocore's clients, mcp-proxy-for-aws, the SDKs for JavaScript and Go), and there are
    /// clients that sign none.
    pub all_or_none: Option<Box<str>>,
}

/// A request whose signature is right.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who signed it.
    pub caller: Caller,
    /// The region of the credential scope.
    pub region: Box<str>,
    /// When it was signed (whole seconds).
    pub signed_at: SystemTime,
    /// Until when the signature is good.
    pub expires_at: SystemTime,
    /// Where the signature stood.
    pub form: Form,
    /// The first half of the signature: names the request in the [`ReplayGuard`](super::ReplayGuard).
    pub(super) mark: u128,
}

/// Verifies a request. No I/O, no clock, no shared state but the signing keys that `keys` remembers.
///
/// Nothing that depends on the access key is told before the signature was computed: an unknown key takes as long as a
/// wrong secret.
pub fn verify<'a, H>(
    keys: &AccessKeys,
    policy: &Policy,
    request: RequestParts<'a, H>,
    now: SystemTime,
) -> Result<Verified, SigV4Error>
where
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    let headers = Headers::collect(request.headers)?;
    let query = Query::parse(request.raw_query)?;
    let line = (request.method, request.raw_path);
    let read = Readable::new(policy, (&headers, &query), line, request.authority, now)?;
    let Readable { presented, date_time, expires_at } = &read;
    let (credential, signed, signature) =
        (presented.credential()?, presented.signed_headers()?, presented.signature()?);
    let payload_hash = policy.payload_hash(presented.content_sha256.as_deref(), request.body)?;

    let canonical_hash = canonical::hash(line, &query, (&headers, &signed, request.authority), payload_hash.as_ref())?;
    let string_to_sign = format!(
        "AWS4-HMAC-SHA256\n{date_time}\n{}/{}/{}/aws4_request\n{canonical_hash}",
        credential.date, credential.region, credential.service
    );

    let candidate = keys.candidate(credential, presented.signed_at);
    let right = candidate.signs(&string_to_sign, signature);
    let access_key_id = credential.access_key_id;
    if !candidate.is_known() {
        return Err(SigV4Error::UnknownKey { access_key_id: access_key_id.into() });
    }
    let accepted = if right { candidate.accept(credential, presented.signed_at) } else { None };
    let caller = accepted.ok_or_else(|| SigV4Error::Mismatch {
        access_key_id: access_key_id.into(),
        signed_headers: signed.join(";").into(),
        canonical_hash: canonical_hash.into(),
    })?;
    caller.check_token(presented.session_token.as_deref()).map_err(SigV4Error::SessionToken)?;
    Ok(Verified {
        caller,
        region: credential.region.into(),
        signed_at: presented.signed_at,
        expires_at: *expires_at,
        form: presented.form,
        mark: u128::from_str_radix(&signature[..32], 16).map_err(|_| Malformed::Signature)?,
    })
}

/// Whether a request could have a right signature, before its body is there to see: all that [`verify`] refuses without
/// the body and without the keys. `request.body` is not looked at. Known and unknown access keys are alike here.
///
/// # Errors
/// The same as [`verify`] has.
pub fn precheck<'a, H>(policy: &Policy, request: RequestParts<'a, H>, now: SystemTime) -> Result<(), SigV4Error>
where
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    let headers = Headers::collect(request.headers)?;
    let query = Query::parse(request.raw_query)?;
    let line = (request.method, request.raw_path);
    Readable::new(policy, (&headers, &query), line, request.authority, now).map(drop)
}

/// A signature that is well formed, for this service, and in its time.
struct Readable<'a> {
    presented: Presented<'a>,
    date_time: String,
    expires_at: SystemTime,
}

// === impl Readable ===

impl<'a> Readable<'a> {
    fn new(
        policy: &Policy,
        (headers, query): (&Headers<'a>, &'a Query),
        (method, raw_path): (&str, &str),
        authority: &str,
        now: SystemTime,
    ) -> Result<Self, SigV4Error> {
        let presented = Presented::find(headers, query)?;
        canonical::check_line(method, raw_path)?;
        let credential = presented.credential()?;
        let signed = presented.signed_headers()?;
        presented.signature()?;
        let date_time = instant::text(presented.signed_at);
        policy.check_scope(credential.service, credential.region)?;
        if !date_time.starts_with(credential.date) {
            return Err(ScopeFault::Date.into());
        }
        let expires_at = policy.check_time(&presented, now)?;
        check_authority(headers, authority)?;
        policy.check_signed(headers, &signed, presented.date_header)?;
        policy.check_claim(presented.content_sha256.as_deref())?;
        Ok(Self { presented, date_time, expires_at })
    }
}

// === impl Policy ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            service: SERVICE.into(),
            region: None,
            skew: DEFAULT_SKEW,
            presigned: Some(DEFAULT_LIFETIME),
            unsigned_payload: false,
            signed_if_sent: Vec::new(),
            all_or_none: Some("mcp-".into()),
        }
    }
}

impl Policy {
    fn check_scope(&self, service: &str, region: &str) -> Result<(), ScopeFault> {
        if *service != *self.service {
            return Err(ScopeFault::Service(self.service.clone()));
        }
        match &self.region {
            Some(only) if **only != *region => Err(ScopeFault::Region(only.clone())),
            _ => Ok(()),
        }
    }

    /// Whether the signature is good now; until when it is.
    fn check_time(&self, presented: &Presented<'_>, now: SystemTime) -> Result<SystemTime, SigV4Error> {
        let signed_at = presented.signed_at;
        let good_for = match (presented.lifetime, self.presigned) {
            (None, _) => self.skew,
            (Some(_), None) => return Err(Malformed::NoPresigned.into()),
            (Some(lifetime), Some(longest)) if lifetime.is_zero() || lifetime > longest => {
                return Err(Malformed::Expires.into());
            }
            (Some(lifetime), Some(_)) => lifetime,
        };
        if signed_at.duration_since(now).is_ok_and(|ahead| ahead > self.skew) {
            return Err(SigV4Error::NotYetValid { signed_at, now, skew: self.skew });
        }
        let until = signed_at + good_for;
        if now > until { Err(SigV4Error::Expired { until, now }) } else { Ok(until) }
    }

    /// Whether all that must be signed is.
    fn check_signed(
        &self,
        headers: &Headers<'_>,
        signed: &[&str],
        date_header: Option<&'static str>,
    ) -> Result<(), SigV4Error> {
        let is_signed = |name: &str| signed.iter().any(|signed| name.eq_ignore_ascii_case(signed));
        if !is_signed("host") {
            return Err(Malformed::HostNotSigned.into());
        }
        if date_header.is_some_and(|name| !is_signed(name)) {
            return Err(Malformed::Date.into());
        }
        let begins =
            |name: &str, with: &str| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        let together = self.all_or_none.as_deref().filter(|start| signed.iter().any(|name| begins(name, start)));
        for name in headers.names() {
            let of_amazon = begins(name, "x-amz-") && !NOISE.iter().any(|noise| name.eq_ignore_ascii_case(noise));
            let of_policy = self.signed_if_sent.iter().any(|listed| name.eq_ignore_ascii_case(listed));
            let of_these = together.is_some_and(|start| begins(name, start));
            if (of_amazon || of_policy || of_these) && !is_signed(name) {
                return Err(SigV4Error::UnsignedHeader(name.to_ascii_lowercase().into()));
            }
        }
        Ok(())
    }

    /// Whether what is said of the body can be right.
    fn check_claim(&self, claimed: Option<&str>) -> Result<(), PayloadFault> {
        match claimed {
            None => Ok(()),
            Some(UNSIGNED_PAYLOAD) if self.unsigned_payload => Ok(()),
            Some(UNSIGNED_PAYLOAD) => Err(PayloadFault::Unsigned),
            Some(claimed) if claimed.starts_with("STREAMING-") => Err(PayloadFault::Streaming),
            Some(claimed) if claimed.len() != 64 || !claimed.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Err(PayloadFault::NotAHash)
            }
            Some(_) => Ok(()),
        }
    }

    /// What stands for the body in the canonical request.
    fn payload_hash(&self, claimed: Option<&str>, body: &[u8]) -> Result<String, PayloadFault> {
        self.check_claim(claimed)?;
        match claimed {
            None => Ok(canonical::sha256_hex(body)),
            Some(UNSIGNED_PAYLOAD) => Ok(UNSIGNED_PAYLOAD.into()),
            Some(claimed) if claimed.eq_ignore_ascii_case(&canonical::sha256_hex(body)) => Ok(claimed.into()),
            Some(_) => Err(PayloadFault::Differs),
        }
    }
}

/// One host, and the same one everywhere: what is signed is what the request is routed by.
fn check_authority(headers: &Headers<'_>, authority: &str) -> Result<(), Malformed> {
    let plain = !authority.is_empty() && authority.bytes().all(|byte| byte.is_ascii_graphic());
    let same = match headers.single("host") {
        Ok(host) => host.is_none_or(|host| host == authority),
        Err(_) => false,
    };
    if plain && same { Ok(()) } else { Err(Malformed::Host) }
}
