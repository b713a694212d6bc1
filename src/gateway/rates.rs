//! How many requests a second a gateway takes. One without a limit pays nothing.

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
    known: Mutex<HashMap<String, Arc<Limit>>>,
}

/// The rate of one gateway.
pub struct Rate {
    own: Option<Arc<Limit>>,
    together: Option<Arc<Limit>>,
}

struct Limit {
    limiter: DefaultDirectRateLimiter,
    per_second: u32,
    what: &'static str,
}

// === impl Rates ===

impl Rates {
    /// With the quotas of a configuration.
    pub fn new(config: &Config) -> Self {
        let created = config.control.as_ref().map(|control| control.quotas.calls_per_second_in_all);
        let created = created.map(|rate| Limit::new(rate, "requests a second to all gateways together"));
        Self { created, known: Mutex::default() }
    }

    /// The rate of a gateway; none where it has no limit.
    pub fn of(&self, gateway: &str, origin: Origin, per_second: Option<u32>) -> Option<Arc<Rate>> {
        let together = self.created.clone().filter(|_| origin == Origin::Control);
        let mut known = self.known.lock();
        let own = match per_second {
            None => {
                known.remove(gateway);
                None
            }
            Some(rate) => Some(match known.get(gateway).filter(|limit| limit.per_second == rate) {
                Some(limit) => limit.clone(),
                None => {
                    let limit = Limit::new(rate, "requests a second");
                    known.insert(gateway.to_owned(), limit.clone());
                    limit
                }
            }),
        };
        (own.is_some() || together.is_some()).then(|| Arc::new(Rate { own, together }))
    }

    /// Forgets a gateway.
    pub fn forget(&self, gateway: &str) {
        self.known.lock().remove(gateway);
    }
}

// === impl Rate ===

impl Rate {
    /// Lets so many requests pass, or none of them.
    ///
    /// # Errors
    /// Over the rate: HTTP 429, to be tried again in a second.
    pub fn admit(&self, requests: usize) -> Result<(), SessionError> {
        let Some(count) = u32::try_from(requests).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        for limit in [&self.own, &self.together].into_iter().flatten() {
            // More at once than a second has never passes.
            if !matches!(limit.limiter.check_n(count), Ok(Ok(()))) {
                metrics::counter!("sessiongate_bounds_reached_total", "bound" => "requests_per_second").increment(1);
                let (what, limit) = (limit.what, limit.per_second as usize);
                return Err(SessionError::Bound { what, limit, remedy: "try again in a second" });
            }
        }
        Ok(())
    }
}

// === impl Limit ===

impl Limit {
    /// After a pause, a second's worth may come at once.
    fn new(per_second: u32, what: &'static str) -> Arc<Self> {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Arc::new(Self { limiter: RateLimiter::direct(Quota::per_second(rate)), per_second: rate.get(), what })
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
}
