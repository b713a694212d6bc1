//! One gateway's door for tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sessiongate_actors::directory::Principal;
use sessiongate_protocol::RawJson;
use sessiongate_storage::Timestamp;

use super::claims::Claims;
use super::error::JwtError;
use super::issuer::{Issuer, Newer};
use super::issuers::JwtOptions;
use super::keys::{KeySet, Thumbprint, Unverified};
use super::resources::Resources;
use super::rules::JwtRules;
use super::token::Presented;
use super::verdicts::{VerdictKey, Verdicts};

/// The longest wait for an issuer's own word on its name.
const ASKING: Duration = Duration::from_secs(3);

/// Checks the tokens of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct JwtAuthorizer {
    rules: Arc<JwtRules>,
    advertised: Arc<[Box<str>]>,
    issuer: Arc<Issuer>,
    verdicts: Arc<Verdicts>,
    /// Of all gateways: what another one's tokens are for.
    resources: Arc<Resources>,
    /// Of the rules.
    generation: u64,
    leeway: Duration,
    max_token: usize,
}

/// A caller whose token is good. `Debug` shows no claims: they are about a person.
#[derive(Clone)]
pub struct Verified {
    /// Who it is: the same for every token of this subject from this issuer.
    pub principal: Principal,
    /// `sub`; where an issuer leaves it out of tokens for a client itself (Keycloak), the client.
    pub subject: Box<str>,
    /// `iss`.
    pub issuer: Arc<str>,
    /// The client that the token was issued to (`client_id`, else `azp`).
    pub client_id: Option<Box<str>>,
    /// What was granted.
    pub scopes: Box<[Box<str>]>,
    /// `exp`: from here on the token is no good, give or take the leeway. What is open for long ends here.
    pub expires_at: Timestamp,
    /// All claims, for policies and interceptors.
    pub claims: RawJson,
}

/// What an issuer's documents say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerLook {
    /// Its name.
    pub issuer: Arc<str>,
    /// Keys that can be used.
    pub keys: usize,
    /// Keys that cannot: for encryption, symmetric, of an unknown kind, too weak, broken.
    pub unusable: usize,
}

// === impl JwtAuthorizer ===

impl JwtAuthorizer {
    pub(super) fn new(
        rules: JwtRules,
        issuer: Arc<Issuer>,
        verdicts: Arc<Verdicts>,
        generation: u64,
        options: &JwtOptions,
    ) -> Self {
        Self {
            advertised: rules.advertised_scopes(),
            rules: Arc::new(rules),
            issuer,
            verdicts,
            resources: Arc::default(),
            generation,
            leeway: options.leeway,
            max_token: options.max_token,
        }
    }

    /// The same among other gateways: a token that is for one of them and not for this one is refused, whatever else the
    /// rules say.
    #[must_use]
    pub fn among(self, resources: Arc<Resources>) -> Self {
        Self { resources, ..self }
    }

    /// What the gateway asks for.
    pub fn rules(&self) -> &JwtRules {
        &self.rules
    }

    /// The scopes for challenges and for the resource metadata.
    pub fn advertised_scopes(&self) -> Arc<[Box<str>]> {
        self.advertised.clone()
    }

    /// The issuer's name for the resource metadata. Asks the issuer once where nothing is known of it yet; where that
    /// fails, the name that belongs to the discovery URL.
    pub async fn authorization_server(&self, now: Timestamp) -> Arc<str> {
        match tokio::time::timeout(ASKING, self.issuer.keys(now)).await {
            Ok(Ok(keys)) => return keys.issuer.clone(),
            Ok(Err(error)) => {
                tracing::debug!(%error, detail = error.detail(), "an issuer's name is taken from its discovery url");
            }
            Err(_) => tracing::debug!("an issuer takes long: its name is taken from its discovery url"),
        }
        self.issuer.name()
    }

    /// Asks the issuer for its keys, where they are not known: what the first caller would wait for.
    ///
    /// # Errors
    /// [`JwtError::Unavailable`], which has the reason in its [`JwtError::detail`].
    pub async fn look(&self, now: Timestamp) -> Result<IssuerLook, JwtError> {
        let keys = self.issuer.keys(now).await?;
        Ok(IssuerLook { issuer: keys.issuer.clone(), keys: keys.len(), unusable: keys.unusable })
    }

    /// How far the clocks of issuer and gateway may differ: so much longer than `exp` says a token is good.
    pub fn leeway(&self) -> Duration {
        self.leeway
    }

    /// The caller of a token that was checked before: what most requests bring. Never waits.
    pub fn recall(&self, token: &str, now: Timestamp) -> Option<Arc<Verified>> {
        let keys = self.issuer.known(now)?;
        self.verdicts.recall(&VerdictKey::new(token, self.generation), &keys, now)
    }

    /// Checks the token of a request (the text after `Bearer `). The same token again costs microseconds.
    ///
    /// # Errors
    /// See [`JwtError`].
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, JwtError> {
        if token.is_empty() {
            return Err(JwtError::Missing);
        }
        if token.len() > self.max_token {
            return Err(JwtError::TooLarge { limit: self.max_token });
        }
        if let Some(verified) = self.recall(token, now) {
            return Ok(verified);
        }
        let presented = Presented::parse(token)?;
        let (keys, by) = self.signed(&presented, now).await?;
        let payload = presented.payload()?;
        let claims = Claims::parse(&payload)?;
        claims.authenticate(&keys.issuer, now, self.leeway)?;
        claims.authorize(&self.rules, &self.resources)?;
        let verified = Arc::new(Verified::new(&claims, payload, keys.issuer.clone())?);
        if now < verified.expires_at {
            self.verdicts.remember(VerdictKey::new(token, self.generation), verified.clone(), by, &keys);
        }
        Ok(verified)
    }

    #[cfg(test)]
    pub(super) fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    /// Which key of the issuer signed this. A key that is not known may be new.
    async fn signed(&self, token: &Presented<'_>, now: Timestamp) -> Result<(Arc<KeySet>, Thumbprint), JwtError> {
        let known = self.issuer.known(now);
        // Fetched while the token was here already, so that it cannot be newer.
        let fresh = known.is_none();
        let keys = match known {
            Some(keys) => keys,
            None => self.issuer.keys(now).await?,
        };
        match keys.verify(token) {
            Ok(key) => return Ok((keys, key)),
            Err(Unverified::Refused(error)) => return Err(error),
            Err(Unverified::NoKey) if fresh => return Err(JwtError::UnknownKey),
            Err(Unverified::NoKey) => {}
        }
        // What would not do with the best of signatures is worth no question.
        let claims = Claims::parse(&token.payload()?)?;
        claims.authenticate(&keys.issuer, now, self.leeway)?;
        let keys = match self.issuer.newer_than(keys.generation, now).await? {
            Newer::Keys(newer) => newer,
            // It was published, and is not any more.
            Newer::Later(_) if token.kid.as_deref().is_some_and(|kid| keys.is_retired(kid)) => {
                return Err(JwtError::UnknownKey);
            }
            // Its key was taken back before anybody looked, or never was: a newer key cannot have signed it then. Nobody has
            // proven the time, which decides only which refusal it is.
            Newer::Later(_) if claims.issued_before(keys.fetched_at, self.leeway)? => return Err(JwtError::UnknownKey),
            // An honest client would throw its token away.
            Newer::Later(retry_after) => return Err(JwtError::KeyPending { retry_after }),
        };
        match keys.verify(token) {
            Ok(key) => Ok((keys, key)),
            Err(Unverified::Refused(error)) => Err(error),
            Err(Unverified::NoKey) => Err(JwtError::UnknownKey),
        }
    }
}

impl fmt::Debug for JwtAuthorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthorizer").field("rules", &self.rules).finish_non_exhaustive()
    }
}

// === impl Verified ===

impl Verified {
    fn new(claims: &Claims, payload: Vec<u8>, issuer: Arc<str>) -> Result<Self, JwtError> {
        let client = claims.client()?;
        // A client and a user of the same name are two principals.
        let (kind, subject) = match (claims.subject()?, client) {
            (Some(subject), _) => ("jwt", subject),
            (None, Some(client)) => ("jwt-client", client),
            (None, None) => return Err(JwtError::MissingClaim("sub")),
        };
        // With its length before it, no issuer ends where another's subject begins.
        let name = format!("{}:{issuer}{subject}", issuer.len());
        Ok(Self {
            principal: Principal::named(kind, &name),
            subject: subject.into(),
            issuer,
            client_id: client.map(Into::into),
            scopes: claims.scopes().into_iter().map(Into::into).collect(),
            expires_at: claims.expires_at,
            claims: RawJson::parse(payload).map_err(|_| JwtError::Malformed("its claims are no JSON object"))?,
        })
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("principal", &self.principal)
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
