//! The access keys a gateway knows, and what their owners may do.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use secrecy::{ExposeSecret, SecretString};
use wildmatch::WildMatch;
use zeroize::Zeroizing;

use super::error::TokenFault;
use super::presented::{Credential, is_access_key_id};

/// Derived keys kept of one access key: two days around midnight, in a few regions.
const MAX_DERIVED: usize = 8;
const MAX_SECRET: usize = 1024;
const MAX_TOKEN: usize = 8 * 1024;
const MAX_ARN: usize = 2048;
const MAX_PERMISSIONS: usize = 256;
const MAX_PERMISSION: usize = 256;

/// One access key as the configuration gives it.
#[derive(Debug, Clone)]
pub struct AccessKeySpec {
    /// 3 to 128 letters, digits, `_`, `-` and `.`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: SecretString,
    /// If set, each request must carry this token too; if not, none may.
    pub session_token: Option<SecretString>,
    /// Who calls with this key.
    pub principal_arn: String,
    /// Twelve digits.
    pub account: String,
    /// Actions as in IAM, with `*` and `?`: `bedrock-agentcore:*`, `bedrock-agentcore:Get*`. Empty: none.
    pub permissions: Vec<String>,
}

/// What is wrong about an access key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessKeyError {
    /// The id does not fit.
    #[error("access key id {0:?}: must be 3 to 128 letters, digits, `_`, `-` and `.`")]
    Id(String),
    /// The id is there twice.
    #[error("access key id {0}: must be there once")]
    Twice(String),
    /// One of the members does not fit.
    #[error("access key {id}: {member} {remedy}")]
    Member {
        /// Which key.
        id: String,
        /// Which member.
        member: &'static str,
        /// What it must be.
        remedy: &'static str,
    },
}

/// Whose signature was found good.
#[derive(Clone)]
pub struct Caller {
    key: Arc<AccessKey>,
}

/// The access keys of a gateway. Secrets are wiped on drop and never shown.
#[derive(Debug)]
pub struct AccessKeys {
    by_id: HashMap<Box<str>, Arc<AccessKey>>,
    /// Signs in place of keys that are not known, so that those take as long as wrong secrets.
    dummy: Arc<AccessKey>,
}

struct AccessKey {
    id: Box<str>,
    secret: SecretString,
    session_token: Option<SecretString>,
    principal_arn: Box<str>,
    account: Box<str>,
    permissions: Vec<WildMatch>,
    derived: ArcSwap<Vec<Arc<Derived>>>,
}

/// A signing key of one day, region and service.
struct Derived {
    date: Box<str>,
    region: Box<str>,
    service: Box<str>,
    key: Zeroizing<Vec<u8>>,
}

/// A key that was found or stood in for, and the signing key of the request's scope.
pub(super) struct Candidate<'k> {
    keys: &'k AccessKeys,
    /// `None`: not known, the dummy signs.
    known: Option<&'k Arc<AccessKey>>,
    derived: Arc<Derived>,
    fresh: bool,
}

// === impl AccessKeys ===

impl AccessKeys {
    /// Checks and takes the keys of a configuration. May be empty: then every signature is refused.
    pub fn new(specs: impl IntoIterator<Item = AccessKeySpec>) -> Result<Self, AccessKeyError> {
        let mut by_id = HashMap::new();
        for spec in specs {
            let key = AccessKey::new(spec)?;
            let id = key.id.clone();
            if by_id.insert(id.clone(), Arc::new(key)).is_some() {
                return Err(AccessKeyError::Twice(id.into()));
            }
        }
        let dummy = AccessKey {
            id: Box::default(),
            secret: format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4()).into(),
            session_token: None,
            principal_arn: Box::default(),
            account: Box::default(),
            permissions: Vec::new(),
            derived: ArcSwap::default(),
        };
        Ok(Self { by_id, dummy: Arc::new(dummy) })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody can sign.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The ARNs of those who may do this (`bedrock-agentcore:InvokeGateway`).
    pub fn allowed(&self, action: &str) -> impl Iterator<Item = &str> {
        let may = move |key: &&Arc<AccessKey>| key.permissions.iter().any(|pattern| pattern.matches(action));
        self.by_id.values().filter(may).map(|key| &*key.principal_arn)
    }

    /// How many signing keys are kept, the dummy's included.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.by_id.values().chain([&self.dummy]).map(|key| key.derived.load().len()).sum()
    }

    pub(super) fn candidate(&self, credential: Credential<'_>, signed_at: SystemTime) -> Candidate<'_> {
        let known = self.by_id.get(credential.access_key_id);
        let signer = known.unwrap_or(&self.dummy);
        let (derived, fresh) = match signer.derived(credential) {
            Some(derived) => (derived, false),
            None => (Arc::new(signer.derive(credential, signed_at)), true),
        };
        Candidate { keys: self, known, derived, fresh }
    }
}

// === impl Candidate ===

impl Candidate<'_> {
    /// Whether this key makes this signature (64 hexadecimal digits). Takes as long for every wrong one.
    pub(super) fn signs(&self, string_to_sign: &str, signature: &str) -> bool {
        let right = Zeroizing::new(calculate_signature(self.derived.key.as_slice(), string_to_sign.as_bytes()));
        verify_slices_are_equal(right.as_bytes(), signature.as_bytes()).is_ok()
    }

    /// Not a stand-in.
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Who it is, once the signature proved right. Only now the signing key is kept: nobody without a key can push
    /// others out. The dummy keeps one of the same scope, or a known key would answer sooner than an unknown one.
    pub(super) fn accept(&self, credential: Credential<'_>, signed_at: SystemTime) -> Option<Caller> {
        let known = self.known?;
        if self.fresh {
            known.remember(&self.derived);
            if self.keys.dummy.derived(credential).is_none() {
                self.keys.dummy.remember(&Arc::new(self.keys.dummy.derive(credential, signed_at)));
            }
        }
        Some(Caller { key: known.clone() })
    }
}

// === impl AccessKey ===

impl AccessKey {
    fn new(spec: AccessKeySpec) -> Result<Self, AccessKeyError> {
        let AccessKeySpec { access_key_id: id, secret, session_token, principal_arn, account, permissions } = spec;
        if !is_access_key_id(&id) {
            return Err(AccessKeyError::Id(id));
        }
        let must = |fits: bool, member, remedy| match fits {
            true => Ok(()),
            false => Err(AccessKeyError::Member { id: id.clone(), member, remedy }),
        };
        let is_text = |text: &SecretString, max: usize| {
            let text = text.expose_secret();
            (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        must(is_text(&secret, MAX_SECRET), "secret", "must be 1 to 1024 printable ASCII characters without spaces")?;
        let token_fits = session_token.as_ref().is_none_or(|token| is_text(token, MAX_TOKEN));
        must(token_fits, "session token", "must be 1 to 8192 printable ASCII characters without spaces")?;
        let is_arn = principal_arn.starts_with("arn:")
            && principal_arn.len() <= MAX_ARN
            && principal_arn.bytes().all(|byte| byte.is_ascii_graphic());
        must(is_arn, "principal ARN", "must be an ARN, such as arn:aws:iam::123456789012:user/name")?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        must(is_account, "account", "must be twelve digits")?;
        let is_action = |text: &String| {
            let fits = |part: &str| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-*?".contains(&byte))
            };
            let named = text.split_once(':').is_some_and(|(service, action)| fits(service) && fits(action));
            text.len() <= MAX_PERMISSION && (text == "*" || named)
        };
        let permissions_fit = permissions.len() <= MAX_PERMISSIONS && permissions.iter().all(is_action);
        must(permissions_fit, "permissions", "must be at most 256 actions, such as bedrock-agentcore:Get*")?;
        Ok(Self {
            secret,
            session_token,
            principal_arn: principal_arn.into(),
            account: account.into(),
            permissions: permissions.iter().map(|pattern| WildMatch::new_case_insensitive(pattern)).collect(),
            derived: ArcSwap::default(),
            id: id.into(),
        })
    }

    fn derived(&self, scope: Credential<'_>) -> Option<Arc<Derived>> {
        self.derived.load().iter().find(|derived| derived.is_of(scope)).cloned()
    }

    fn derive(&self, scope: Credential<'_>, signed_at: SystemTime) -> Derived {
        let key = generate_signing_key(self.secret.expose_secret(), signed_at, scope.region, scope.service);
        Derived {
            date: scope.date.into(),
            region: scope.region.into(),
            service: scope.service.into(),
            key: Zeroizing::new(key.as_ref().to_vec()),
        }
    }

    fn remember(&self, derived: &Arc<Derived>) {
        self.derived.rcu(|kept| {
            let surplus = (kept.len() + 1).saturating_sub(MAX_DERIVED);
            let mut kept = kept.get(surplus..).unwrap_or_default().to_vec();
            kept.push(derived.clone());
            kept
        });
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("principal_arn", &self.principal_arn)
            .finish_non_exhaustive()
    }
}

// === impl Derived ===

impl Derived {
    fn is_of(&self, scope: Credential<'_>) -> bool {
        *self.date == *scope.date && *self.region == *scope.region && *self.service == *scope.service
    }
}

// === impl Caller ===

impl Caller {
    /// The access key that signed.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.key.id
    }

    /// Who it belongs to.
    #[must_use]
    pub fn principal_arn(&self) -> &str {
        &self.key.principal_arn
    }

    /// The account of the principal.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.key.account
    }

    /// Whether the permissions of the key contain this action (`bedrock-agentcore:GetGateway`). As in IAM, case does
    /// not matter.
    #[must_use]
    pub fn allows(&self, action: &str) -> bool {
        self.key.permissions.iter().any(|pattern| pattern.matches(action))
    }

    /// Compares the presented session token with the key's.
    pub(super) fn check_token(&self, presented: Option<&str>) -> Result<(), TokenFault> {
        match (&self.key.session_token, presented) {
            (None, None) => Ok(()),
            (Some(_), None) => Err(TokenFault::Missing),
            (None, Some(_)) => Err(TokenFault::Unexpected),
            (Some(token), Some(presented)) => {
                verify_slices_are_equal(token.expose_secret().as_bytes(), presented.as_bytes())
                    .map_err(|_| TokenFault::Differs)
            }
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn spec() -> AccessKeySpec {
        AccessKeySpec {
            access_key_id: "AKIDEXAMPLE".into(),
            secret: "hunter2hunter2".into(),
            session_token: Some("tokentoken".into()),
            principal_arn: "arn:aws:iam::123456789012:user/ann".into(),
            account: "123456789012".into(),
            permissions: vec!["bedrock-agentcore:Get*".into(), "bedrock-agentcore:InvokeGateway".into()],
        }
    }

    fn scope<'a>(date: &'a str, region: &'a str) -> Credential<'a> {
        Credential { access_key_id: "AKIDEXAMPLE", date, region, service: "bedrock-agentcore" }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let keys = AccessKeys::new([spec()]).unwrap();
        let shown = format!("{keys:?} {:?}", spec());
        assert!(shown.contains("AKIDEXAMPLE") && !shown.contains("hunter") && !shown.contains("tokent"), "{shown}");
    }

    #[test]
    fn permissions_are_globs() {
        let keys = AccessKeys::new([spec()]).unwrap();
        let caller = Caller { key: keys.by_id["AKIDEXAMPLE"].clone() };
        for action in
            ["bedrock-agentcore:GetGateway", "Bedrock-AgentCore:getgateway", "bedrock-agentcore:InvokeGateway"]
        {
            assert!(caller.allows(action), "{action}");
        }
        for action in
            ["bedrock-agentcore:DeleteGateway", "s3:GetObject", "xbedrock-agentcore:GetGateway", "", "GetGateway"]
        {
            assert!(!caller.allows(action), "{action}");
        }
    }

    #[test]
    fn a_bad_key_is_refused_with_its_name() {
        let refused = |change: fn(&mut AccessKeySpec)| {
            let mut spec = spec();
            change(&mut spec);
            AccessKeys::new([spec]).unwrap_err().to_string()
        };
        assert!(refused(|spec| spec.access_key_id = "a/b".into()).contains("access key id"));
        assert!(refused(|spec| spec.secret = "hunter2 ".into()).contains("AKIDEXAMPLE: secret"));
        assert!(!refused(|spec| spec.secret = "hunter2 ".into()).contains("hunter2"));
        assert!(refused(|spec| spec.secret = "".into()).contains("secret"));
        assert!(refused(|spec| spec.session_token = Some("".into())).contains("session token"));
        assert!(refused(|spec| spec.principal_arn = "ann".into()).contains("principal ARN"));
        assert!(refused(|spec| spec.account = "12345".into()).contains("account"));
        assert!(refused(|spec| spec.permissions = vec!["GetGateway".into()]).contains("permissions"));
        assert!(AccessKeys::new([spec(), spec()]).unwrap_err().to_string().contains("once"));
    }

    #[test]
    fn signing_keys_are_kept_only_of_proven_callers_and_bounded() {
        let keys = AccessKeys::new([spec()]).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let key = &keys.by_id["AKIDEXAMPLE"];
        assert!(keys.candidate(scope("20260102", "us-east-1"), at).fresh);
        assert_eq!((key.derived.load().len(), keys.dummy.derived.load().len()), (0, 0));
        for region in 0..20 {
            let region = format!("r-{region}");
            let candidate = keys.candidate(scope("20260102", &region), at);
            assert!(candidate.accept(scope("20260102", &region), at).is_some());
        }
        assert_eq!((key.derived.load().len(), keys.dummy.derived.load().len()), (MAX_DERIVED, MAX_DERIVED));
        assert!(!keys.candidate(scope("20260102", "r-19"), at).fresh);
        assert!(keys.candidate(scope("20260102", "r-0"), at).fresh);
        assert!(keys.candidate(scope("20260103", "r-19"), at).fresh);
    }

    #[test]
    fn an_unknown_key_goes_the_way_of_a_known_one() {
        let keys = AccessKeys::new([spec()]).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        let unknown = Credential { access_key_id: "NOBODY", ..scope("20260102", "us-east-1") };
        assert!(keys.candidate(unknown, at).fresh);
        assert!(keys.candidate(unknown, at).accept(unknown, at).is_none());
        assert!(
            keys.candidate(scope("20260102", "us-east-1"), at).accept(scope("20260102", "us-east-1"), at).is_some()
        );
        // Both signing keys are there now, or both are not.
        assert!(!keys.candidate(unknown, at).fresh);
        assert!(!keys.candidate(scope("20260102", "us-east-1"), at).fresh);
    }
}
