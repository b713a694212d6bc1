//! The issuers that this process knows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sessiongate_targets::Outbound;
use url::Url;

use super::authorizer::JwtAuthorizer;
use super::discovery::ExpectedIssuer;
use super::issuer::{Issuer, IssuerOptions};
use super::rules::{JwtRules, RulesError};
use super::verdicts::Verdicts;

/// How tokens are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwtOptions {
    /// How far the clocks of issuer and gateway may differ.
    pub leeway: Duration,
    /// The longest token, in bytes.
    pub max_token: usize,
    /// Memory for tokens that were checked before, in bytes.
    pub verdicts: usize,
    /// Issuers that may be in use at once.
    pub max_issuers: usize,
    /// How each issuer's keys are kept.
    pub issuer: IssuerOptions,
}

/// The issuers that this process knows: one object for each discovery URL and name, for as long as a gateway
/// uses it.
pub struct Issuers {
    outbound: Outbound,
    options: JwtOptions,
    issuers: Mutex<HashMap<(Url, ExpectedIssuer), Weak<Issuer>>>,
    verdicts: Arc<Verdicts>,
    next_generation: AtomicU64,
}

// === impl JwtOptions ===

impl Default for JwtOptions {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(60),
            max_token: 16 * 1024,
            verdicts: 32 * 1024 * 1024,
            max_issuers: 4096,
            issuer: IssuerOptions::default(),
        }
    }
}

// === impl Issuers ===

impl Issuers {
    /// None yet. Nothing is fetched before the first token comes.
    pub fn new(outbound: Outbound, options: JwtOptions) -> Arc<Self> {
        Arc::new(Self {
            outbound,
            options,
            issuers: Mutex::default(),
            verdicts: Arc::new(Verdicts::new(options.verdicts)),
            next_generation: AtomicU64::new(0),
        })
    }

    /// The authoriser of a gateway with these rules. Rules that change make a new authoriser; the issuer's keys stay
    /// while either is there.
    ///
    /// # Errors
    /// Rules that cannot be used, and [`RulesError::TooManyIssuers`].
    pub fn authorizer(&self, rules: JwtRules) -> Result<JwtAuthorizer, RulesError> {
        rules.validate()?;
        let issuer = self.issuer(&rules)?;
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        Ok(JwtAuthorizer::new(rules, issuer, self.verdicts.clone(), generation, &self.options))
    }

    /// How many verdicts there are, and what they weigh.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> (usize, u64) {
        self.verdicts.size()
    }

    fn issuer(&self, rules: &JwtRules) -> Result<Arc<Issuer>, RulesError> {
        let by_url = rules.expected_issuer().ok_or(RulesError::DiscoveryUrl)?;
        let name = rules.issuer.as_deref().unwrap_or(&by_url).into();
        let key = (rules.discovery_url.clone(), ExpectedIssuer { name, said: rules.issuer.is_some() });
        let mut issuers = self.issuers.lock();
        if let Some(issuer) = issuers.get(&key).and_then(Weak::upgrade) {
            return Ok(issuer);
        }
        if issuers.len() >= self.options.max_issuers {
            issuers.retain(|_, issuer| issuer.strong_count() > 0);
        }
        if issuers.len() >= self.options.max_issuers {
            return Err(RulesError::TooManyIssuers { limit: self.options.max_issuers });
        }
        let (url, expected) = key.clone();
        let issuer = Issuer::new(url, expected, self.outbound.clone(), self.options.issuer);
        issuers.insert(key, Arc::downgrade(&issuer));
        Ok(issuer)
    }
}
