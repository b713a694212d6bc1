//! What a gateway asks of a token (AgentCore's `customJWTAuthorizer`).

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;

use crate::auth::resource_metadata::canonical;

/// What one gateway asks of a token. Everything that is configured must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRules {
    /// Where the issuer describes itself: `…/.well-known/openid-configuration` or
    /// `…/.well-known/oauth-authorization-server…` (RFC 8414).
    pub discovery_url: Url,
    /// What the issuer's document must call the issuer, to the letter, where that is not what the discovery URL says.
    pub issuer: Option<String>,
    /// `aud` must have one of these; empty for no such check.
    pub allowed_audience: Vec<String>,
    /// `client_id`, or `azp` where there is none, must be one of these; empty for no such check.
    pub allowed_clients: Vec<String>,
    /// One of these scopes must have been granted; empty for no such check.
    pub allowed_scopes: Vec<String>,
    /// How scopes are called towards clients, where their name in the token is not the one to ask for.
    pub advertised_scope_mapping: BTreeMap<String, String>,
    /// Further claims.
    pub custom_claims: Vec<ClaimRule>,
    /// AUTHENTICATE_ONLY: the token is verified, and nothing is decided by it. Whether it is meant for the gateway is no such
    /// decision: of the lists above there may be `allowed_audience`.
    pub authenticate_only: bool,
    /// The URLs under which clients know this gateway (RFC 8707): an `aud` that is one of them is as good as one of
    /// `allowed_audience`.
    pub resources: Vec<String>,
    /// `aud` must be there and be one of `allowed_audience` or `resources`, even where no audience is configured and
    /// where tokens are only authenticated. For authorization servers that know resource indicators; Cognito's access
    /// tokens have no `aud`.
    pub strict_audience: bool,
}

/// A rule that decides who may call. AUTHENTICATE_ONLY has none of them: it would ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deciding {
    /// [`JwtRules::allowed_clients`].
    Clients,
    /// [`JwtRules::allowed_scopes`].
    Scopes,
    /// [`JwtRules::advertised_scope_mapping`].
    ScopeMapping,
    /// [`JwtRules::custom_claims`].
    Claims,
}

/// What a claim must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// The claim: a member of the token's claims, dots and colons included.
    pub name: String,
    /// What it must be made of.
    pub value_type: ClaimValueType,
    /// How it is compared.
    pub operator: ClaimOperator,
    /// With what.
    pub value: ClaimMatch,
}

/// `inboundTokenClaimValueType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimValueType {
    /// STRING.
    String,
    /// STRING_ARRAY.
    StringArray,
}

/// `claimMatchOperator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOperator {
    /// EQUALS: a string that is the same.
    Equals,
    /// CONTAINS: an array that has the string.
    Contains,
    /// CONTAINS_ANY: an array that has at least one of the strings.
    ContainsAny,
}

/// `claimMatchValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimMatch {
    /// `matchValueString`.
    String(String),
    /// `matchValueStringList`.
    List(Vec<String>),
}

/// Why rules cannot be used. Texts name the member and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The discovery URL.
    #[error(
        "discoveryUrl must be an http or https url with /.well-known/openid-configuration or \
         /.well-known/oauth-authorization-server in its path, without credentials, query and fragment"
    )]
    DiscoveryUrl,
    /// The issuer's name.
    #[error(
        "issuer must be an https url, or an http one, of at most {MAX_VALUE} characters, without query and fragment"
    )]
    Issuer,
    /// Every token of the issuer would do.
    #[error(
        "at least one of allowedAudience, allowedClients, allowedScopes and customClaims is needed: without, every \
         token of the issuer would open the gateway"
    )]
    Nothing,
    /// An entry that no token can match, or too many of them.
    #[error("{member} must have at most {MAX_ENTRIES} entries of 1 to {max_len} characters")]
    Entries {
        /// Which list.
        member: &'static str,
        /// How long an entry may be.
        max_len: usize,
    },
    /// A rule that would be ignored.
    #[error("{member} decides who may call, and AUTHENTICATE_ONLY decides nothing but allowedAudience: leave it out")]
    Decides {
        /// Which.
        member: &'static str,
    },
    /// A scope that nobody is told of.
    #[error("advertisedScopeMapping: `{0}` is not one of allowedScopes, so that nobody would be told of it")]
    Mapping(String),
    /// Not a scope (RFC 6749, 3.3).
    #[error("allowedScopes: `{0}` has characters that a scope cannot have")]
    Scope(String),
    /// An operator that does not fit its types.
    #[error(
        "customClaims.{name}: use STRING with EQUALS and matchValueString, STRING_ARRAY with CONTAINS and \
         matchValueString, or STRING_ARRAY with CONTAINS_ANY and matchValueStringList"
    )]
    Operator {
        /// Of which claim.
        name: String,
    },
    /// More issuers than the gateway keeps.
    #[error("more than {limit} discovery urls are in use")]
    TooManyIssuers {
        /// How many there may be.
        limit: usize,
    },
}

/// More entries in one list are a mistake, and would cost each request.
const MAX_ENTRIES: usize = 1000;
/// Of scopes and claim names, in bytes.
const MAX_NAME: usize = 255;
/// Of audiences and clients, which may be URLs.
const MAX_VALUE: usize = 2048;
/// A scope that is asked for a refresh token, not for a resource: never advertised (MCP 2026-07-28, authorization).
const OFFLINE: &str = "offline_access";

// === impl Deciding ===

impl Deciding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Clients, Self::Scopes, Self::ScopeMapping, Self::Claims];

    /// The member of `customJWTAuthorizer`.
    pub fn member(self) -> &'static str {
        match self {
            Self::Clients => "allowedClients",
            Self::Scopes => "allowedScopes",
            Self::ScopeMapping => "advertisedScopeMapping",
            Self::Claims => "customClaims",
        }
    }

    /// The key of the configuration file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Clients => "allowed_clients",
            Self::Scopes => "allowed_scopes",
            Self::ScopeMapping => "advertised_scopes",
            Self::Claims => "custom_claims",
        }
    }
}

// === impl JwtRules ===

impl JwtRules {
    /// Rules that ask for nothing yet.
    pub fn new(discovery_url: Url) -> Self {
        Self {
            discovery_url,
            issuer: None,
            allowed_audience: Vec::new(),
            allowed_clients: Vec::new(),
            allowed_scopes: Vec::new(),
            advertised_scope_mapping: BTreeMap::new(),
            custom_claims: Vec::new(),
            authenticate_only: false,
            resources: Vec::new(),
            strict_audience: false,
        }
    }

    /// Whether a gateway can work with these rules.
    ///
    /// # Errors
    /// The first member that cannot be used.
    pub fn validate(&self) -> Result<(), RulesError> {
        if self.expected_issuer().is_none() {
            return Err(RulesError::DiscoveryUrl);
        }
        if self.issuer.as_deref().is_some_and(|issuer| !is_issuer(issuer)) {
            return Err(RulesError::Issuer);
        }
        let given = |rule: &Deciding| match rule {
            Deciding::Clients => !self.allowed_clients.is_empty(),
            Deciding::Scopes => !self.allowed_scopes.is_empty(),
            Deciding::ScopeMapping => !self.advertised_scope_mapping.is_empty(),
            Deciding::Claims => !self.custom_claims.is_empty(),
        };
        if self.authenticate_only
            && let Some(rule) = Deciding::ALL.into_iter().find(given)
        {
            return Err(RulesError::Decides { member: rule.member() });
        }
        let mapped: Vec<String> =
            self.advertised_scope_mapping.iter().flat_map(|(from, to)| [from.clone(), to.clone()]).collect();
        let names: Vec<String> = self.custom_claims.iter().map(|rule| rule.name.clone()).collect();
        for (member, entries, max_len) in [
            ("allowedAudience", &self.allowed_audience, MAX_VALUE),
            ("allowedClients", &self.allowed_clients, MAX_VALUE),
            ("allowedScopes", &self.allowed_scopes, MAX_NAME),
            ("advertisedScopeMapping", &mapped, MAX_NAME),
            ("customClaims", &names, MAX_NAME),
        ] {
            let fits = |entry: &String| (1..=max_len).contains(&entry.len());
            if entries.len() > MAX_ENTRIES || !entries.iter().all(fits) {
                return Err(RulesError::Entries { member, max_len });
            }
        }
        if let Some(scope) = self.allowed_scopes.iter().chain(&mapped).find(|scope| !is_scope(scope)) {
            return Err(RulesError::Scope(scope.clone()));
        }
        if let Some(scope) = self.advertised_scope_mapping.keys().find(|scope| !self.allowed_scopes.contains(scope)) {
            return Err(RulesError::Mapping(scope.clone()));
        }
        for rule in &self.custom_claims {
            rule.validate()?;
        }
        let asks = !(self.allowed_audience.is_empty()
            && self.allowed_clients.is_empty()
            && self.allowed_scopes.is_empty()
            && self.custom_claims.is_empty());
        match asks || self.authenticate_only || self.strict_audience {
            true => Ok(()),
            false => Err(RulesError::Nothing),
        }
    }

    /// Whether a token for this URL of the gateway may open it. False where tokens must be for the gateway itself and this is
    /// none of its URLs; where an audience is configured, its issuer may write that one whatever a client asks for.
    pub fn may_be_for(&self, resource: &Url) -> bool {
        let own_only = self.strict_audience && self.allowed_audience.is_empty();
        !own_only || self.resources.contains(&canonical(resource))
    }

    /// The scopes that clients should ask for: what challenges and the resource metadata show.
    pub fn advertised_scopes(&self) -> Arc<[Box<str>]> {
        let mut scopes: Vec<Box<str>> = Vec::new();
        for scope in &self.allowed_scopes {
            let advertised = self.advertised_scope_mapping.get(scope).unwrap_or(scope);
            if advertised != OFFLINE && !scopes.iter().any(|scope| **scope == **advertised) {
                scopes.push(advertised.as_str().into());
            }
        }
        scopes.into()
    }

    /// The issuer that belongs to the discovery URL by the rules of OpenID Connect Discovery (4) and RFC 8414 (3); none
    /// where the URL is no such URL.
    pub fn expected_issuer(&self) -> Option<String> {
        let url = &self.discovery_url;
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.has_host();
        if !plain || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let (before, after) = url.path().split_once("/.well-known/")?;
        let suffix = ["openid-configuration", "oauth-authorization-server"]
            .into_iter()
            .find_map(|document| after.strip_prefix(document))
            .filter(|suffix| suffix.is_empty() || suffix.starts_with('/'))?;
        Some(format!("{}{before}{}", url.origin().ascii_serialization(), suffix.trim_end_matches('/')))
    }
}

// === impl ClaimRule ===

impl ClaimRule {
    fn validate(&self) -> Result<(), RulesError> {
        let entries = match &self.value {
            ClaimMatch::String(value) => std::slice::from_ref(value),
            ClaimMatch::List(values) => values.as_slice(),
        };
        let fits = |entry: &String| (1..=MAX_VALUE).contains(&entry.len());
        if entries.is_empty() || entries.len() > MAX_ENTRIES || !entries.iter().all(fits) {
            return Err(RulesError::Entries { member: "customClaims", max_len: MAX_VALUE });
        }
        match (self.value_type, self.operator, &self.value) {
            (ClaimValueType::String, ClaimOperator::Equals, ClaimMatch::String(_))
            | (ClaimValueType::StringArray, ClaimOperator::Contains, ClaimMatch::String(_))
            | (ClaimValueType::StringArray, ClaimOperator::ContainsAny, ClaimMatch::List(_)) => Ok(()),
            _ => Err(RulesError::Operator { name: self.name.clone() }),
        }
    }

    /// Whether a claim's value is what the rule asks for. A value of another type never is.
    pub(super) fn matches(&self, value: &serde_json::Value) -> bool {
        let strings = || value.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        match (self.value_type, self.operator, &self.value) {
            (ClaimValueType::String, ClaimOperator::Equals, ClaimMatch::String(wanted)) => {
                value.as_str() == Some(wanted.as_str())
            }
            (ClaimValueType::StringArray, ClaimOperator::Contains, ClaimMatch::String(wanted)) => {
                strings().any(|entry| entry == wanted)
            }
            (ClaimValueType::StringArray, ClaimOperator::ContainsAny, ClaimMatch::List(wanted)) => {
                strings().any(|entry| wanted.iter().any(|wanted| wanted == entry))
            }
            // Refused by `validate`.
            _ => false,
        }
    }
}

/// RFC 8414, 2. A template, such as Entra's `{tenantid}`, is no URL that any token could have.
fn is_issuer(text: &str) -> bool {
    let plain =
        |url: Url| matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    text.len() <= MAX_VALUE && !text.contains(['{', '}']) && Url::parse(text).is_ok_and(plain)
}

/// RFC 6749, 3.3.
fn is_scope(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
