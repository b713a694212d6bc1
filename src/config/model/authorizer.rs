//! Who may call a gateway.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::jwt::Deciding;
use crate::config::units::Endpoint;

/// Who may call a gateway, besides holders of its API keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Authorizer {
    /// Nobody is asked who they are: everyone, unless the gateway has API keys.
    #[default]
    None,
    /// Callers with a token of an OpenID provider or OAuth 2 authorization server, which must fulfil all rules.
    Jwt(JwtAuthorizer),
    /// Callers with a valid token of the issuer, for `allowed_audience` where that is given, whatever else it says: what they
    /// may do is decided behind the gateway.
    AuthenticateOnly(JwtAuthorizer),
    /// Callers who sign their requests (AWS Signature Version 4, service `bedrock-agentcore`) with an access key of
    /// `control.credentials` that has the permission `bedrock-agentcore:InvokeGateway`.
    Iam,
}

/// Which tokens are accepted. A rule that is not given is not checked; all that are given must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtAuthorizer {
    /// The issuer's document: `…/.well-known/openid-configuration` or `…/.well-known/oauth-authorization-server`. Since 0.1.
    pub discovery_url: Endpoint,
    /// What the document calls the issuer, to the letter. Only for issuers whose document is not below their own name, such as
    /// Entra's for tokens of version 1: a document with another `issuer` than this, or without this key than its URL says, is
    /// refused. Since 0.1.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The token is for one of these (claim `aud`). Since 0.1.
    #[serde(default)]
    pub allowed_audience: Vec<String>,
    /// The token was given to one of these clients (claim `client_id` or `azp`). An ID token is refused unless
    /// `allowed_audience` lists the client that it is for. Since 0.1.
    #[serde(default)]
    pub allowed_clients: Vec<String>,
    /// The token has one of these scopes. Since 0.1.
    #[serde(default)]
    pub allowed_scopes: Vec<String>,
    /// What clients are told to ask for instead of a scope, which `allowed_scopes` lists. Since 0.1.
    #[serde(default)]
    pub advertised_scopes: BTreeMap<String, String>,
    /// Rules for other claims. Since 0.1.
    #[serde(default)]
    pub custom_claims: Vec<CustomClaim>,
    /// The token must be for the URL of this gateway (claim `aud`, by RFC 8707), or for one of `allowed_audience`: for
    /// authorization servers that know resource indicators. Always so where no other rule is given. Since 0.1.
    #[serde(default)]
    pub strict_audience: bool,
}

/// A rule for one claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomClaim {
    /// The claim. Since 0.1.
    pub name: String,
    /// What it holds. Since 0.1.
    #[serde(default)]
    pub value_type: ClaimType,
    /// How it is compared. Since 0.1.
    pub operator: ClaimOperator,
    /// With what: one string, or several for `contains-any`. Since 0.1.
    pub values: Vec<String>,
}

/// What a claim holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimType {
    /// A string.
    #[default]
    String,
    /// An array of strings.
    StringArray,
}

/// How a claim is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimOperator {
    /// It is the value.
    Equals,
    /// It is an array with the value in it.
    Contains,
    /// It is an array with one of the values in it.
    ContainsAny,
}

// === impl Authorizer ===

impl Authorizer {
    /// Which tokens are accepted, where tokens are.
    #[must_use]
    pub fn tokens(&self) -> Option<&JwtAuthorizer> {
        match self {
            Self::None | Self::Iam => None,
            Self::Jwt(jwt) | Self::AuthenticateOnly(jwt) => Some(jwt),
        }
    }
}

// === impl JwtAuthorizer ===

impl JwtAuthorizer {
    /// The keys of the rules that are given and decide more than whether a token is meant for the gateway.
    pub(crate) fn deciding(&self) -> impl Iterator<Item = &'static str> {
        let given = |rule: &Deciding| match rule {
            Deciding::Clients => !self.allowed_clients.is_empty(),
            Deciding::Scopes => !self.allowed_scopes.is_empty(),
            Deciding::ScopeMapping => !self.advertised_scopes.is_empty(),
            Deciding::Claims => !self.custom_claims.is_empty(),
        };
        Deciding::ALL.into_iter().filter(given).map(Deciding::key)
    }
}
