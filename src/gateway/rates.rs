//! How many requests a second a gateway takes, and how many searches a minute. One without a limit pays nothing.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use sessiongate_actors::SessionError;

use super::Origin;
use crate::config::Config;

/// The rates of all gateways. They outlive a change of their gateway: what was used up stays used up.
pub struct Rates {
    /// Of all gateways of the control plane together.
    created: Option<Arc<Limit>>,
    known: Kept,
    /// Of their search tools.
    searches: Kept,
}

/// Limits by gateway.
type Kept = Mutex<HashMap<String, Arc<Limit>>>;

/// The rate of one gateway.
pub struct Rate {
    own: Option<Arc<Limit>>,
    together: Option<Arc<Limit>>,
}

struct Limit {
    limiter: DefaultDirectRateLimiter,
    rate: u32,
    kind: &'static Kind,
}

/// What is limited, and what is said of it.
struct Kind {
    bound: &'static str,
    what: &'static str,
    remedy: &'static str,
    quota: fn(NonZeroU32) -> Quota,
}

static CALLS: Kind = Kind {
    bound: "requests_per_second",
    what: "requests a second",
    remedy: "try again in a second",
    quota: Quota::per_second,
};

static CALLS_TOGETHER: Kind = Kind { what: "requests a second to all gateways together", ..CALLS };

static SEARCHES: Kind = Kind {
    bound: "searches_per_minute",
    what: "searches for tools a minute",
    remedy: "try again in a minute, or list the tools",
    quota: Quota::per_minute,
};

// === impl Rates ===

impl Rates {
    /// With the quotas of a configuration.
    pub fn new(config: &Config) -> Self {
        let created = config.control.as_ref().map(|control| control.quotas.calls_per_second_in_all);
        let created = created.map(|rate| Limit::new(rate, &CALLS_TOGETHER));
        Self { created, known: Mutex::default(), searches: Mutex::default() }
    }

    /// The rate of a gateway; none where it has no limit.
    pub fn of(&self, gateway: &str, origin: Origin, per_second: Option<u32>) -> Option<Arc<Rate>> {
        let together = self.created.clone().filter(|_| origin == Origin::Control);
        let own = keep(&self.known, gateway, per_second, &CALLS);
        (own.is_some() || together.is_some()).then(|| Arc::new(Rate { own, together }))
    }

    /// The rate of a gateway's search tool; none where it has no limit.
    pub fn searches(&self, gateway: &str, per_minute: Option<u32>) -> Option<Arc<Rate>> {
        let own = keep(&self.searches, gateway, per_minute, &SEARCHES)?;
        Some(Arc::new(Rate { own: Some(own), together: None }))
    }

    /// Forgets a gateway.
    pub fn forget(&self, gateway: &str) {
        self.known.lock().remove(gateway);
        self.searches.lock().remove(gateway);
    }
}

/// The limit of a gateway at this rate: the one that is known, where it has the same.
fn keep(kept: &Kept, gateway: &str, rate: Option<u32>, kind: &'static Kind) -> Option<Arc<Limit>> {
    let mut kept = kept.lock();
    let Some(rate) = rate else {
        kept.remove(gateway);
        return None;
    };
    if let Some(known) = kept.get(gateway).filter(|limit| limit.rate == rate) {
        return Some(known.clone());
    }
    let limit = Limit::new(rate, kind);
    kept.insert(gateway.to_owned(), limit.clone());
    Some(limit)
}

// === impl Rate ===

impl Rate {
    /// Lets so many requests pass, or none of them.
    ///
    /// # Errors
    /// Over the rate: HTTP 429, to be tried again.
    pub fn admit(&self, requests: usize) -> Result<(), SessionError> {
        let Some(count) = u32::try_from(requests).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        for limit in [&self.own, &self.together].into_iter().flatten() {
            // More at once than the whole time has never passes.
            if !matches!(limit.limiter.check_n(count), Ok(Ok(()))) {
                let Kind { bound, what, remedy, .. } = *limit.kind;
                metrics::counter!("sessiongate_bounds_reached_total", "bound" => bound).increment(1);
                return Err(SessionError::Bound { what, limit: limit.rate as usize, remedy });
            }
        }
        Ok(())
    }
}

// === impl Limit ===

impl Limit {
    /// After a pause, all that the time has may come at once.
    fn new(rate: u32, kind: &'static Kind) -> Arc<Self> {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        Arc::new(Self { limiter: RateLimiter::direct((kind.quota)(rate)), rate: rate.get(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ControlConfig, Quotas};

    fn rates(in_all: u32) -> Rates {
        let quotas = Quotas { calls_per_second_in_all: in_all, ..Quotas::default() };
        let control = Some(ControlConfig { quotas, ..ControlConfig::default() });
        Rates::new(&Config { control, ..Config::default() })
    }

    #[test]
    fn each_gateway_has_its_own_and_those_created_share_one() {
        let rates = rates(3);
        let a = rates.of("a", Origin::Control, Some(2)).unwrap();
        let b = rates.of("b", Origin::Control, Some(2)).unwrap();
        assert!(a.admit(2).is_ok());
        let refused = a.admit(1).unwrap_err();
        assert_eq!((refused.status(), refused.code()), (429, "bound_reached"));
        assert!(refused.to_string().contains("limit 2"), "{refused}");
        assert!(b.admit(1).is_ok());
        assert!(b.admit(1).unwrap_err().to_string().contains("all gateways together"));
        let file = rates.of("f", Origin::File, Some(1)).unwrap();
        assert!(file.admit(1).is_ok() && file.admit(1).is_err());
        assert!(rates.of("free", Origin::File, None).is_none());
    }

    #[test]
    fn a_change_of_the_gateway_gives_nothing_back() {
        let rates = rates(100);
        assert!(rates.of("a", Origin::Control, Some(2)).unwrap().admit(2).is_ok());
        assert!(rates.of("a", Origin::Control, Some(2)).unwrap().admit(1).is_err());
        assert!(rates.of("a", Origin::Control, Some(5)).unwrap().admit(5).is_ok(), "another rate begins anew");
        assert!(rates.of("b", Origin::Control, Some(2)).unwrap().admit(3).is_err(), "never fits");
    }

    #[test]
    fn searches_are_counted_apart() {
        let rates = rates(100);
        assert!(rates.of("a", Origin::Control, Some(1)).unwrap().admit(1).is_ok());
        assert!(rates.searches("a", Some(2)).unwrap().admit(2).is_ok());
        let refused = rates.searches("a", Some(2)).unwrap().admit(1).unwrap_err();
        assert!(refused.to_string().contains("searches for tools a minute (limit 2)"), "{refused}");
        assert!(rates.searches("a", None).is_none() && rates.searches("b", Some(2)).unwrap().admit(2).is_ok());
    }
}
