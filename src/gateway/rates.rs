//! How many requests a second a gateway takes, and how many searches a minute. One without a limit pays nothing.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

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

/// Why requests do not pass. The displayed text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverRate {
    /// There were too many in the time before.
    #[error("too many {what} (limit {limit}): try again in {}{instead}", seconds(.wait))]
    Now {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u32,
        /// Until then.
        wait: Duration,
        /// What else the client can do.
        instead: &'static str,
    },
    /// They are more at once than there may ever be.
    #[error("{requests} at once are more than the {what} that the gateway takes (limit {limit}): send fewer at once")]
    Ever {
        /// How many they are.
        requests: u32,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
}

struct Limit {
    limiter: RateLimiter<NotKeyed, Arrival, DefaultClock>,
    arrival: Arrival,
    /// In nanoseconds, until there is room for one more.
    each: u64,
    rate: u32,
    kind: &'static Kind,
}

/// When the next request would come if all came evenly, in nanoseconds since the limit was made. In the library's own store it
/// could not be set back.
#[derive(Clone, Default)]
struct Arrival(Arc<AtomicU64>);

/// What is limited, and what is said of it.
struct Kind {
    bound: &'static str,
    what: &'static str,
    instead: &'static str,
    quota: fn(NonZeroU32) -> Quota,
}

static CALLS: Kind =
    Kind { bound: "requests_per_second", what: "requests a second", instead: "", quota: Quota::per_second };

static CALLS_TOGETHER: Kind = Kind { what: "requests a second to all gateways together", ..CALLS };

static SEARCHES: Kind = Kind {
    bound: "searches_per_minute",
    what: "searches for tools a minute",
    instead: ", or list the tools",
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
    /// Lets so many requests pass, or none of them. What does not pass uses nothing up.
    ///
    /// # Errors
    /// Over the rate.
    pub fn admit(&self, requests: usize) -> Result<(), OverRate> {
        if requests == 0 {
            return Ok(());
        }
        let count = u32::try_from(requests).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        // The own one first: who is over that takes nothing from others.
        if let Some(own) = &self.own {
            own.take(count)?;
        }
        let Some(together) = &self.together else { return Ok(()) };
        together.take(count).inspect_err(|_| {
            if let Some(own) = &self.own {
                own.give_back(count);
            }
        })
    }
}

// === impl OverRate ===

impl OverRate {
    /// When to try again; none where that is of no use.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Now { wait, .. } => Some(whole_seconds(wait)),
            Self::Ever { .. } => None,
        }
    }
}

fn whole_seconds(wait: &Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn seconds(wait: &Duration) -> String {
    match whole_seconds(wait) {
        1 => "a second".to_owned(),
        more => format!("{more} seconds"),
    }
}

// === impl Limit ===

impl Limit {
    /// After a pause, all that the time has may come at once.
    fn new(rate: u32, kind: &'static Kind) -> Arc<Self> {
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let (quota, arrival) = ((kind.quota)(rate), Arrival::default());
        let limiter = RateLimiter::new(quota, arrival.clone(), DefaultClock::default());
        let each = u64::try_from(quota.replenish_interval().as_nanos()).unwrap_or(u64::MAX);
        Arc::new(Self { limiter, arrival, each, rate: rate.get(), kind })
    }

    fn take(&self, count: NonZeroU32) -> Result<(), OverRate> {
        let Kind { bound, what, instead, .. } = *self.kind;
        let error = match self.limiter.check_n(count) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                OverRate::Now { what, limit: self.rate, wait, instead }
            }
            Err(_) => OverRate::Ever { requests: count.get(), what, limit: self.rate },
        };
        metrics::counter!("sessiongate_bounds_reached_total", "bound" => bound).increment(1);
        Err(error)
    }

    /// Undoes [`Self::take`].
    fn give_back(&self, count: NonZeroU32) {
        let taken = self.each.saturating_mul(u64::from(count.get()));
        let earlier = |arrival: u64| Some(arrival.saturating_sub(taken));
        let _ = self.arrival.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, earlier);
    }
}

// === impl Arrival ===

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            // None came yet.
            let (decided, after) = decide((before > 0).then(|| before.into()))?;
            match self.0.compare_exchange_weak(before, after.into(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(decided),
                Err(meanwhile) => before = meanwhile,
            }
        }
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
        assert_eq!(refused.retry_after(), Some(1));
        assert_eq!(refused.to_string(), "too many requests a second (limit 2): try again in a second");
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
        let never = rates.of("b", Origin::Control, Some(2)).unwrap().admit(3).unwrap_err();
        assert_eq!(never, OverRate::Ever { requests: 3, what: "requests a second", limit: 2 });
        assert_eq!(never.retry_after(), None);
        assert!(rates.of("b", Origin::Control, Some(2)).unwrap().admit(usize::MAX).is_err());
    }

    #[test]
    fn what_does_not_pass_uses_nothing_up() {
        let rates = rates(4);
        let rate = |name: &str| rates.of(name, Origin::Control, Some(3)).unwrap();
        assert!(rate("a").admit(3).is_ok());
        // One is left for all: neither of the two that are asked for takes it, nor do they take of their own.
        assert!(rate("b").admit(2).unwrap_err().to_string().contains("all gateways together"));
        let own = rate("b").own.clone().unwrap();
        assert!(own.take(NonZeroU32::new(3).unwrap()).is_ok(), "all of its own are there");
        assert!(rate("c").admit(1).is_ok(), "and the one for all");
        // Over its own rate nothing of the common one goes.
        assert!(rate("b").admit(1).is_err() && rate("c").together.clone().unwrap().take(NonZeroU32::MIN).is_err());
    }

    #[test]
    fn searches_are_counted_apart() {
        let rates = rates(100);
        assert!(rates.of("a", Origin::Control, Some(1)).unwrap().admit(1).is_ok());
        assert!(rates.searches("a", Some(2)).unwrap().admit(2).is_ok());
        let refused = rates.searches("a", Some(2)).unwrap().admit(1).unwrap_err();
        assert!(refused.to_string().contains("searches for tools a minute (limit 2)"), "{refused}");
        assert!(refused.to_string().ends_with("try again in 30 seconds, or list the tools"), "{refused}");
        assert_eq!(refused.retry_after(), Some(30));
        assert!(rates.searches("a", None).is_none() && rates.searches("b", Some(2)).unwrap().admit(2).is_ok());
    }
}
