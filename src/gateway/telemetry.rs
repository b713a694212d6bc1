//! Logs and metrics.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use super::log_writer::{LogGuard, LogWriter};
use crate::config::{LogConfig, LogFormat};

/// Buckets of call durations in seconds: an agent's calls take from a millisecond to minutes.
const DURATIONS: [f64; 12] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0];

/// Libraries that tell what nobody asked, at the level of the gateway's own news.
const QUIET: &str = "actix_server=warn,actix_web=warn,hyper=warn,reqwest=warn,rmcp=warn,sled=warn";

/// Starts logging to stderr; the environment's `RUST_LOG` overrules. A second call changes nothing. Lines are written by
/// a thread of their own, so that a slow reader of stderr holds no call up; what it cannot take is lost. The guard
/// writes the rest when it goes.
pub fn init_logging(log: &LogConfig) -> LogGuard {
    let (writer, guard) = LogWriter::start(std::io::stderr());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{},{QUIET}", log.level)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Human => builder.with_target(false).try_init(),
    };
    guard
}

/// Installs the process's metrics; none if something else did so before (tests with several gateways in one process).
pub(super) fn install_metrics() -> Option<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATIONS)
        .ok()?
        .install_recorder()
        .ok()
}
