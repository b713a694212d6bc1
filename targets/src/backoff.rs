//! Waiting longer after each failure, never in step with others.

use std::time::Duration;

/// Exponential backoff with full jitter: after the n-th failure in a row, anything between zero and
/// `base * 2^(n-1)`, at most `cap`. A thousand sessions that lose the same target come back spread out.
pub(crate) fn full_jitter(failures: u32, base: Duration, cap: Duration) -> Duration {
    ceiling(failures, base, cap).mul_f64(fastrand::f64())
}

/// The most that [`full_jitter`] waits.
fn ceiling(failures: u32, base: Duration, cap: Duration) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(exponent) => base.saturating_mul(1 << exponent.min(20)).min(cap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let at = |failures| ceiling(failures, Duration::from_millis(500), Duration::from_secs(30)).as_millis();
        assert_eq!([at(0), at(1), at(2), at(3), at(7), at(u32::MAX)], [0, 500, 1000, 2000, 30_000, 30_000]);
        assert!(full_jitter(3, Duration::from_secs(1), Duration::from_secs(30)) <= Duration::from_secs(4));
    }
}
