//! The claims of a verified token, and what a gateway makes of them.

use serde_json::{Map, Value};
use sessiongate_storage::Timestamp;

use super::error::JwtError;
use super::resources::{self, Resources};
use super::rules::JwtRules;
use std::time::Duration;

/// The claims of a token whose signature is good (RFC 7519, 4.1; RFC 9068, 2.2).
#[derive(Debug)]
pub(super) struct Claims {
    all: Map<String, Value>,
    pub expires_at: Timestamp,
}

// === impl Claims ===

impl Claims {
    /// Reads the payload. `exp` must be there: a token without an end could not be taken back.
    pub fn parse(payload: &[u8]) -> Result<Self, JwtError> {
        let all: Map<String, Value> =
            serde_json::from_slice(payload).map_err(|_| JwtError::Malformed("its claims are no JSON object"))?;
        let expires_at = time(&all, "exp")?.ok_or(JwtError::MissingClaim("exp"))?;
        Ok(Self { all, expires_at })
    }

    /// Checks what makes the token a valid access token of this issuer at this time.
    pub fn authenticate(&self, issuer: &str, now: Timestamp, leeway: Duration) -> Result<(), JwtError> {
        if self.text("iss")? != Some(issuer) {
            return Err(JwtError::Issuer);
        }
        if now >= self.expires_at.plus(leeway) {
            return Err(JwtError::Expired);
        }
        for claim in ["nbf", "iat"] {
            if time(&self.all, claim)?.is_some_and(|at| at > now.plus(leeway)) {
                return Err(JwtError::NotYetValid);
            }
        }
        if self.is_other_kind() { Err(JwtError::Kind) } else { Ok(()) }
    }

    /// Whether it says of itself that it was issued before this time, however far the clocks differ.
    pub fn issued_before(&self, at: Timestamp, leeway: Duration) -> Result<bool, JwtError> {
        Ok(time(&self.all, "iat")?.is_some_and(|issued| issued.plus(leeway) < at))
    }

    /// Checks what the gateway asks for. `all`: the URLs of the process's gateways.
    pub fn authorize(&self, rules: &JwtRules, all: &Resources) -> Result<(), JwtError> {
        // What is configured is meant to the letter. Of the gateway's own URLs, clients write that of an origin with a slash
        // behind it.
        let known = |audience: &&str| {
            rules.allowed_audience.iter().any(|allowed| allowed == audience)
                || resources::meant(audience).is_some_and(|url| rules.resources.contains(&url))
        };
        let audience = self.audience();
        let meant = audience.iter().any(known);
        // Where no audience is asked for, one that is not known may be what the issuer calls its gateways; another gateway's
        // URL is not: that gateway would be as good as this one for whoever it passes the token on to.
        let elsewhere = || audience.iter().any(|audience| all.names_other(audience, &rules.resources));
        if !meant && (!rules.allowed_audience.is_empty() || rules.strict_audience || elsewhere()) {
            return Err(JwtError::Audience);
        }
        if rules.authenticate_only {
            return Ok(());
        }
        if !rules.allowed_clients.is_empty() {
            let client = self.client()?;
            if !rules.allowed_clients.iter().any(|allowed| Some(allowed.as_str()) == client) {
                return Err(JwtError::Client);
            }
            // Nothing else tells whom the token is for.
            if !meant && self.is_id_token() {
                return Err(JwtError::Kind);
            }
        }
        // Before the scopes: more of those would not help whom a claim shuts out.
        for rule in &rules.custom_claims {
            if !self.all.get(&rule.name).is_some_and(|value| rule.matches(value)) {
                return Err(JwtError::Claim { name: rule.name.as_str().into() });
            }
        }
        let granted = self.scopes();
        if !rules.allowed_scopes.is_empty() && !rules.allowed_scopes.iter().any(|scope| granted.contains(&&**scope)) {
            return Err(JwtError::Scope { needed: rules.advertised_scopes() });
        }
        Ok(())
    }

    /// `sub`.
    pub fn subject(&self) -> Result<Option<&str>, JwtError> {
        self.text("sub")
    }

    /// The client that the token was issued to: `client_id` (RFC 9068), or `azp` (OpenID Connect, 2), which Keycloak, Auth0,
    /// Entra and Google write instead. Where both are there, `client_id` counts.
    pub fn client(&self) -> Result<Option<&str>, JwtError> {
        match self.text("client_id")? {
            None => self.text("azp"),
            client => Ok(client),
        }
    }

    /// What was granted: `scope` (RFC 9068: words; some write an array), or `scp` where there is none (Entra: words;
    /// Okta: an array).
    pub fn scopes(&self) -> Vec<&str> {
        match self.all.get("scope").or_else(|| self.all.get("scp")) {
            Some(Value::String(words)) => words.split(' ').filter(|word| !word.is_empty()).collect(),
            Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn audience(&self) -> Vec<&str> {
        match self.all.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Tokens that say in their claims that they are something else: Cognito's `token_use`, Keycloak's `typ`. An ID token is
    /// for the client that asked for it, a refresh token for the issuer.
    fn is_other_kind(&self) -> bool {
        let says = |claim: &str| self.all.get(claim).and_then(Value::as_str).map(str::to_ascii_lowercase);
        let kind = says("typ");
        says("token_use").is_some_and(|kind| kind != "access")
            || matches!(kind.as_deref(), Some("id" | "refresh" | "offline" | "logout"))
    }

    /// Tokens that name their client as ID tokens do (`azp`), and have what ID tokens have (OpenID Connect, 2 and 3.1.3.6). The
    /// access tokens of Keycloak before version 24 have a `nonce`, too, and say that they are for bearers.
    fn is_id_token(&self) -> bool {
        let has = |claim: &str| self.all.get(claim).is_some_and(|value| !value.is_null());
        let bearer = self.all.get("typ").and_then(Value::as_str).is_some_and(|typ| typ.eq_ignore_ascii_case("bearer"));
        !has("client_id") && !bearer && ["nonce", "at_hash", "c_hash"].into_iter().any(has)
    }

    /// A claim that must be a string where it is there.
    fn text(&self, claim: &'static str) -> Result<Option<&str>, JwtError> {
        match self.all.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(JwtError::Malformed("a claim that must be a text is none")),
        }
    }
}

/// A `NumericDate` (RFC 7519, 2): seconds, perhaps with a fraction.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<Timestamp>, JwtError> {
    /// Later than any date that a token can mean; exact in a float.
    const MAX: f64 = 9_007_199_254_740.0;
    let value = match claims.get(claim) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    match value.as_f64() {
        Some(seconds) if (0.0..=MAX).contains(&seconds) => {
            // In range, so that nothing is cut off but what is smaller than a millisecond.
            Ok(Some(Timestamp((seconds * 1000.0) as u64)))
        }
        _ => Err(JwtError::Malformed("a claim that must be a time is none")),
    }
}
