//! The one place that reads the clock.
//!
//! Wall-clock time is read once; from there on tokio's clock counts, so that a test with paused time moves everything
//! and a wall clock that is set back moves nothing.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sessiongate_storage::Timestamp;
use tokio::time::Instant;

static ANCHOR: OnceLock<(u64, Instant)> = OnceLock::new();

fn anchor() -> (u64, Instant) {
    *ANCHOR.get_or_init(|| {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (u64::try_from(wall.as_millis()).unwrap_or(u64::MAX), Instant::now())
    })
}

/// Now.
pub fn now() -> Timestamp {
    let (wall, started) = anchor();
    Timestamp(wall).plus(Instant::now().saturating_duration_since(started))
}

/// The time left until `deadline`.
pub fn until(deadline: Timestamp) -> Duration {
    deadline.since(now())
}

/// The deadline for code that counts in `std` instants.
pub fn std_instant(deadline: Timestamp) -> std::time::Instant {
    std::time::Instant::now() + until(deadline)
}
