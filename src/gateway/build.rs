//! From the configuration's words to the actors' and the targets'.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use sessiongate_actors::settings::{
    Affinity, EventLogBounds, GatewaySettings, Listing, MAX_TIMEOUT, Naming, SessionSettings, TargetSettings,
};
use sessiongate_actors::supervisor::TargetPlan;
use sessiongate_targets::{
    AddressPolicy, Hello, HttpClients, HttpOptions, HttpTarget, HttpTargetOptions, Link, LinkSink, ProcessBound,
    ProcessMode, SavedLink, SecretEnv, SecretHeaders, StdioTarget, StdioTargetOptions, Target, TargetEra, TargetError,
    Transport, Welcome,
};

use crate::config::{self, Config, GatewayConfig, McpConfig, TargetConfig};
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
            // Without sessions nothing is kept outside memory that could be brought back or swept.
            passivate_after: match gateway.sessions.settings() {
                Some(_) => Duration::from_secs(60),
                None => MAX_TIMEOUT,
            },
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
    processes: ProcessBound,
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
        Self { known: HashMap::new(), next: 0, processes: ProcessBound::new(config.limits.stdio_processes as usize) }
    }

    /// The targets of a gateway. One that cannot be made (its URL names an address that is not allowed) is left out
    /// with an error in the log: the others are served.
    pub(super) fn plans(&mut self, config: &Config, gateway: &GatewayConfig) -> Vec<TargetPlan> {
        let mut plans = Vec::new();
        for target in &gateway.targets {
            let key = (gateway.name.clone(), target.name.clone());
            let same = self
                .known
                .get(&key)
                .filter(|known| known.config == *target && known.networks == config.allow_private_networks);
            let (fingerprint, made) = match same {
                Some(known) => (known.fingerprint, known.target.clone()),
                None => match self.make(config, target) {
                    Ok(made) => {
                        self.next += 1;
                        let known = Known {
                            config: target.clone(),
                            networks: config.allow_private_networks.clone(),
                            fingerprint: self.next,
                            target: made.clone(),
                        };
                        self.known.insert(key, known);
                        (self.next, made)
                    }
                    Err(error) => {
                        tracing::error!(gateway = gateway.name, target_name = target.name, %error, detail = ?error, "target cannot be used");
                        match self.known.get(&key) {
                            // As with a file that cannot be read: what worked goes on.
                            Some(known) => (known.fingerprint, known.target.clone()),
                            None => {
                                self.next += 1;
                                let broken: Arc<dyn Target> = Arc::new(Broken { name: target.name.clone(), error });
                                (self.next, broken)
                            }
                        }
                    }
                },
            };
            let settings = TargetSettings {
                name: target.name.as_str().into(),
                call_timeout: target.timeout,
                resource_priority: target.resource_priority,
                required: target.required,
                affinity: match &target.affinity {
                    config::Affinity::Principal => Affinity::Principal,
                    config::Affinity::Call => Affinity::Call,
                    config::Affinity::Handle => Affinity::Handle,
                    config::Affinity::Header(name) => Affinity::Header(name.to_ascii_lowercase().into()),
                },
            };
            plans.push(TargetPlan { settings, target: made, fingerprint });
        }
        plans
    }

    /// Forgets targets that are no longer configured, with their connections and secrets.
    pub(super) fn keep_only(&mut self, config: &Config) {
        self.known.retain(|(gateway, target), _| {
            config.gateway(gateway).is_some_and(|gateway| gateway.target(target).is_some())
        });
    }

    fn make(&self, config: &Config, target: &TargetConfig) -> Result<Arc<dyn Target>, TargetError> {
        match &target.mcp {
            McpConfig::Http(http) => {
                let clients = HttpClients::new(HttpOptions {
                    policy: AddressPolicy { allowed: config.allow_private_networks.clone() },
                    connect: target.connect_timeout,
                    ..HttpOptions::default()
                })?;
                let headers = http.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
                let headers =
                    SecretHeaders::new(headers).map_err(|error| TargetError::Refused { detail: error.to_string() })?;
                let options = HttpTargetOptions {
                    name: target.name.clone(),
                    url: http.url.url().clone(),
                    transport: match http.transport {
                        config::Transport::Auto => Transport::Auto,
                        config::Transport::StreamableHttp => Transport::StreamableHttp,
                        config::Transport::Sse => Transport::Sse,
                    },
                    headers,
                    limits: target.link_limits(),
                    era: era_of(target),
                    known: None,
                };
                Ok(Arc::new(HttpTarget::new(options, clients)?))
            }
            McpConfig::Stdio(stdio) => {
                let options = StdioTargetOptions {
                    name: target.name.clone(),
                    command: stdio.command.clone(),
                    args: stdio.args.clone(),
                    env: stdio
                        .env
                        .iter()
                        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                        .collect::<SecretEnv>(),
                    cwd: stdio.cwd.clone(),
                    mode: match stdio.mode {
                        config::ProcessMode::PerSession => ProcessMode::PerSession,
                        config::ProcessMode::Shared => ProcessMode::Shared,
                    },
                    limits: target.link_limits(),
                    era: era_of(target),
                    known: None,
                };
                Ok(Arc::new(StdioTarget::new(options, self.processes.clone())))
            }
        }
    }
}

fn era_of(target: &TargetConfig) -> TargetEra {
    match target.era {
        config::Era::Auto => TargetEra::Auto,
        config::Era::Legacy => TargetEra::Legacy,
        config::Era::Modern => TargetEra::Modern,
    }
}

/// A target that cannot be used as it is configured: it is listed, says why, and offers nothing.
struct Broken {
    name: String,
    error: TargetError,
}

#[async_trait]
impl Target for Broken {
    fn name(&self) -> &str {
        &self.name
    }

    async fn open(&self, _: Hello, _: Arc<dyn LinkSink>) -> Result<(Arc<dyn Link>, Welcome), TargetError> {
        Err(self.error.clone())
    }

    fn reattach(&self, _: &SavedLink, _: Arc<dyn LinkSink>) -> Option<Arc<dyn Link>> {
        None
    }
}

/// All targets of a configuration, to be tried once.
pub fn targets_of(config: &Config) -> Vec<(String, Arc<dyn Target>)> {
    let mut builder = Builder::new(config);
    config
        .gateways
        .iter()
        .flat_map(|gateway| {
            let plans = builder.plans(config, gateway);
            plans.into_iter().map(|plan| (gateway.name.clone(), plan.target))
        })
        .collect()
}
