//! From the configuration's words to the actors' and the targets'.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use sessiongate_actors::catalogue::TargetCatalogue;
use sessiongate_actors::clock;
use sessiongate_actors::settings::{
    Affinity, EventLogBounds, ExceptionLevel, GatewaySettings, Listing, MAX_TIMEOUT, Naming, SessionSettings,
    TargetSettings,
};
use sessiongate_actors::supervisor::{Synchronisation, TargetPlan};
use sessiongate_actors::sync::Bounds;
use sessiongate_targets::{
    AddressPolicy, Hello, HttpClients, HttpOptions, HttpTarget, HttpTargetOptions, Link, LinkSink, PassNames,
    ProcessBound, ProcessMode, SavedLink, SecretEnv, SecretHeaders, StdioTarget, StdioTargetOptions, Target, TargetEra,
    TargetError, Transport, Welcome,
};

use super::via;
use crate::config::{self, Config, GatewayConfig, McpConfig, Pass, TargetConfig};
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
        listing: listing(gateway.listing),
        pagination: gateway.pagination,
        exceptions: match gateway.exception_level {
            config::ExceptionLevel::Debug => ExceptionLevel::Debug,
            config::ExceptionLevel::General => ExceptionLevel::General,
        },
        max_name_length: gateway.max_name_length.map(usize::from),
        search: gateway.search,
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

fn listing(listing: config::Listing) -> Listing {
    match listing {
        config::Listing::Default => Listing::Default,
        config::Listing::Dynamic => Listing::Dynamic,
    }
}

/// How a gateway's streams behave.
pub(super) fn timing(gateway: &GatewayConfig) -> StreamTiming {
    StreamTiming {
        keep_alive: gateway.keep_alive,
        retry: gateway.sse_polling.as_ref().map_or(RETRY, |polling| polling.retry),
        close_after: gateway.sse_polling.as_ref().map(|polling| polling.close_after),
        until: None,
    }
}

/// Makes targets, and remembers what it made them of: a target that is configured as before is the same target.
pub(super) struct Builder {
    /// By gateway and target.
    known: HashMap<String, HashMap<String, Known>>,
    /// Connections are shared by all targets that may reach the same addresses with the same patience.
    clients: Vec<(Vec<IpNet>, Duration, HttpClients)>,
    next: u64,
    processes: ProcessBound,
}

struct Known {
    config: TargetConfig,
    networks: Vec<IpNet>,
    fingerprint: u64,
    target: Arc<dyn Target>,
    /// Of its configuration, where that says what it offers.
    fixed: Option<Arc<TargetCatalogue>>,
}

/// What a plan is made of.
type Made = (u64, Arc<dyn Target>, Option<Arc<TargetCatalogue>>);

// === impl Builder ===

impl Builder {
    /// With the bounds of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            known: HashMap::new(),
            clients: Vec::new(),
            next: 0,
            processes: ProcessBound::new(config.limits.stdio_processes as usize),
        }
    }

    /// The targets of a gateway, each of which may offer so much. One that cannot be made (its URL names an address that is not allowed) is left out
    /// with an error in the log: the others are served.
    pub(super) fn plans(&mut self, config: &Config, gateway: &GatewayConfig, bounds: Bounds) -> Vec<TargetPlan> {
        let mut plans = Vec::new();
        for target in &gateway.targets {
            let (fingerprint, made, fixed) = self.made(config, gateway, target);
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
                // What is declared is the list.
                listing: match &target.tools {
                    Some(_) => Some(Listing::Default),
                    None => target.listing.map(listing),
                },
                tool_name: bounds.tool_name,
            };
            let synchronisation = match target.synchronisation {
                config::Synchronisation::Automatic => Synchronisation::Automatic,
                config::Synchronisation::Manual => Synchronisation::Manual,
            };
            plans.push(TargetPlan { settings, target: made, fingerprint, synchronisation, bounds, fixed });
        }
        plans
    }

    /// The target as it was, where it is configured as before.
    fn made(&mut self, config: &Config, gateway: &GatewayConfig, target: &TargetConfig) -> Made {
        let known = self.known.get(&gateway.name).and_then(|known| known.get(&target.name));
        let same = known.filter(|known| known.config == *target && known.networks == config.allow_private_networks);
        if let Some(known) = same {
            return known.plan();
        }
        match self.make(config, target, Some(&gateway.name)) {
            Ok(made) => {
                self.next += 1;
                let known = Known {
                    config: target.clone(),
                    networks: config.allow_private_networks.clone(),
                    fingerprint: self.next,
                    target: made,
                    fixed: fixed(target),
                };
                let plan = known.plan();
                self.known.entry(gateway.name.clone()).or_default().insert(target.name.clone(), known);
                plan
            }
            Err(error) => {
                tracing::error!(gateway = gateway.name, target_name = target.name, %error, detail = ?error, "target cannot be used");
                match self.known.get(&gateway.name).and_then(|known| known.get(&target.name)) {
                    // As with a file that cannot be read: what worked goes on.
                    Some(known) => known.plan(),
                    None => {
                        self.next += 1;
                        (self.next, Arc::new(Broken { name: target.name.clone(), error }), fixed(target))
                    }
                }
            }
        }
    }

    /// Forgets what is no longer among a gateway's targets, with its connections and secrets.
    pub(super) fn keep_only(&mut self, gateway: &GatewayConfig) {
        if let Some(known) = self.known.get_mut(&gateway.name) {
            known.retain(|target, _| gateway.target(target).is_some());
        }
    }

    /// Forgets the targets of a gateway.
    pub(super) fn forget(&mut self, gateway: &str) {
        self.known.remove(gateway);
    }

    /// A target that is only looked at.
    pub(super) fn probe(&mut self, config: &Config, target: &TargetConfig) -> Result<Arc<dyn Target>, TargetError> {
        self.make(config, target, None)
    }

    fn clients(&mut self, networks: &[IpNet], connect: Duration) -> Result<HttpClients, TargetError> {
        // What was allowed before is no longer.
        self.clients.retain(|(known, ..)| known == networks);
        if let Some((.., clients)) = self.clients.iter().find(|(_, patience, _)| *patience == connect) {
            return Ok(clients.clone());
        }
        let policy = AddressPolicy { allowed: networks.to_vec() };
        let clients = HttpClients::new(HttpOptions { policy, connect, ..HttpOptions::default() })?;
        self.clients.push((networks.to_vec(), connect, clients.clone()));
        Ok(clients)
    }

    fn make(
        &mut self,
        config: &Config,
        target: &TargetConfig,
        gateway: Option<&str>,
    ) -> Result<Arc<dyn Target>, TargetError> {
        match &target.mcp {
            McpConfig::Http(http) => {
                let clients = self.clients(&config.allow_private_networks, target.connect_timeout)?;
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
                    pass: pass_names(&target.pass)?,
                    via: gateway.map(|gateway| via::name_of(gateway).into()),
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

// === impl Known ===

impl Known {
    fn plan(&self) -> Made {
        (self.fingerprint, self.target.clone(), self.fixed.clone())
    }
}

/// What a target offers, where the configuration says it.
fn fixed(target: &TargetConfig) -> Option<Arc<TargetCatalogue>> {
    let tools = target.tools.as_ref()?.texts().to_vec();
    Some(Arc::new(TargetCatalogue::of_tools(tools, clock::now())))
}

fn pass_names(pass: &Pass) -> Result<PassNames, TargetError> {
    let [request, query, response] = [&pass.request_headers, &pass.query_parameters, &pass.response_headers]
        .map(|names| names.iter().map(String::as_str));
    PassNames::new(request, query, response).map_err(|error| TargetError::Refused { detail: error.to_string() })
}

/// What passes to and from any target of a gateway; none where nothing does.
pub(super) fn passes(gateway: &GatewayConfig) -> Option<Arc<PassNames>> {
    let mut all = PassNames::default();
    for target in gateway.targets.iter().filter(|target| matches!(target.mcp, McpConfig::Http(_))) {
        // One whose names cannot be used is not served, and the log says so.
        pass_names(&target.pass).iter().for_each(|names| all.extend(names));
    }
    (!all.is_empty()).then(|| Arc::new(all))
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
            let plans = builder.plans(config, gateway, Bounds::default());
            plans.into_iter().map(|plan| (gateway.name.clone(), plan.target))
        })
        .collect()
}
