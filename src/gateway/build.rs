//! From the configuration's words to the actors' and the targets'.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sessiongate_actors::settings::{
    EventLogBounds, GatewaySettings, Listing, Naming, SessionSettings, TargetSettings,
};
use sessiongate_actors::supervisor::TargetPlan;
use sessiongate_targets::Target;

use crate::config::{self, Config, GatewayConfig, TargetConfig};
use crate::http::StreamTiming;

/// What a client is told to wait, where the configuration does not say.
const RETRY: Duration = Duration::from_secs(1);

/// The settings of a gateway.
pub(super) fn settings(gateway: &GatewayConfig) -> GatewaySettings {
    let sessions = gateway.sessions.settings().cloned().unwrap_or_default();
    GatewaySettings {
        name: gateway.name.as_str().into(),
        naming: match gateway.naming {
            config::Naming::Prefixed => Naming::Prefixed,
            config::Naming::Plain => Naming::Plain,
        },
        listing: match gateway.listing {
            config::Listing::Default => Listing::Default,
            config::Listing::Dynamic => Listing::Dynamic,
        },
        instructions: gateway.instructions.clone(),
        max_name_length: gateway.max_name_length.map(usize::from),
        sessions: SessionSettings {
            timeout: sessions.timeout,
            idle_timeout: sessions.idle_timeout,
            passivate_after: Duration::from_secs(60),
            max_per_principal: sessions.max_per_principal as usize,
            streaming: gateway.streaming,
            calls_in_flight: sessions.calls_in_flight as usize,
            open_streams: sessions.open_streams as usize,
            pending_questions: sessions.pending_questions as usize,
            queued_notifications: sessions.queued_notifications as usize,
            events: EventLogBounds {
                count: u64::from(sessions.events.count),
                bytes: sessions.events.bytes,
                age: sessions.events.age,
            },
            retry: timing(gateway).retry,
        },
    }
}

/// How a gateway's streams behave.
pub(super) fn timing(gateway: &GatewayConfig) -> StreamTiming {
    StreamTiming {
        keep_alive: gateway.keep_alive,
        retry: gateway.sse_polling.as_ref().map_or(RETRY, |polling| polling.retry),
        close_after: gateway.sse_polling.as_ref().map(|polling| polling.close_after),
    }
}

/// Makes targets, and remembers what it made them of: a target that is configured as before is the same target.
pub(super) struct Builder {
    known: HashMap<(String, String), Known>,
    next: u64,
    processes: Arc<ProcessBound>,
    clients: Option<(Vec<IpNet>, HttpClients)>,
}

struct Known {
    config: TargetConfig,
    networks: Vec<IpNet>,
    fingerprint: u64,
    target: Arc<dyn Target>,
}

// === impl Builder ===

impl Builder {
    /// With the bounds of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            known: HashMap::new(),
            next: 0,
            processes: ProcessBound::new(config.limits.stdio_processes as usize),
            clients: None,
        }
    }
}
