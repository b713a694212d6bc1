//! The guarded HTTP clients that all targets of a gateway share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect;
use url::Url;

use crate::error::TargetError;
use crate::guard::{AddressPolicy, GuardedResolver, Reach};

/// Connection pools behind one address policy: one for each of the gateway's worker threads, because a pooled
/// connection is driven by the thread that opened it, and a call of another thread would wake that one for each piece
/// of it.
///
/// HTTP/1.1 only. On HTTP/2 a call that waits for a person, or a standing stream, uses up one of the connection's
/// concurrent streams; when they are used up further requests hang in the pool, the answers that would set the waiting
/// ones free among them.
#[derive(Clone, Debug)]
pub struct HttpClients {
    /// The first is always there; the others are made by the first call of their thread.
    clients: Arc<[OnceLock<reqwest::Client>; THREADS]>,
    options: Arc<HttpOptions>,
    reach: Reach,
}

/// Threads with pools of their own; more of them share.
const THREADS: usize = 16;

/// Numbers the threads that send requests.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed) % THREADS;
}

/// How the clients connect.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Which addresses targets may have.
    pub policy: AddressPolicy,
    /// To resolve, connect and shake hands.
    pub connect: Duration,
    /// An unused connection is closed after this long.
    pub pool_idle: Duration,
    /// Unused connections kept for one host.
    pub pool_max_idle_per_host: usize,
}

const USER_AGENT: &str = concat!("sessiongate/", env!("CARGO_PKG_VERSION"));

/// A peer that vanished without a word is noticed after about a minute and a half, also on a stream without comments.
const TCP_KEEPALIVE: Duration = Duration::from_secs(45);
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const TCP_KEEPALIVE_RETRIES: u32 = 3;

// === impl HttpClients ===

impl HttpClients {
    /// Builds the first client. Clients follow no redirects and use no proxy (either would lead around the policy), ask for
    /// no compression (a compressed body could not be bounded by what was read), and have no total timeout: each
    /// request brings its deadline.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] where TLS cannot be set up on this host.
    pub fn new(options: HttpOptions) -> Result<Self, TargetError> {
        Self::reaching(options, Reach::Policy)
    }

    /// The same for a part of the addresses that the policy permits.
    pub(crate) fn reaching(options: HttpOptions, reach: Reach) -> Result<Self, TargetError> {
        let clients: [OnceLock<reqwest::Client>; THREADS] = std::array::from_fn(|_| OnceLock::new());
        let _ = clients[0].set(build(&options, reach)?);
        Ok(Self { clients: Arc::new(clients), options: Arc::new(options), reach })
    }

    /// The client of this thread.
    pub(crate) fn get(&self) -> &reqwest::Client {
        let slot = &self.clients[THREAD.with(|thread| *thread)];
        if let Some(client) = slot.get() {
            return client;
        }
        match build(&self.options, self.reach) {
            Ok(client) => slot.get_or_init(|| client),
            Err(error) => {
                tracing::warn!(?error, "a thread shares the connections of the first one");
                // Made by `new`, else there would be no `self`.
                self.clients[0].wait()
            }
        }
    }

    /// Refuses what can be refused without resolving; see [`AddressPolicy::check_url`].
    ///
    /// # Errors
    /// [`TargetError::AddressRefused`].
    pub fn check_url(&self, url: &Url) -> Result<(), TargetError> {
        self.options.policy.check_url_within(url, self.reach)
    }
}

fn build(options: &HttpOptions, reach: Reach) -> Result<reqwest::Client, TargetError> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(GuardedResolver::new(Arc::new(options.policy.clone()), reach))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .tcp_keepalive_interval(TCP_KEEPALIVE_INTERVAL)
        .tcp_keepalive_retries(TCP_KEEPALIVE_RETRIES)
        .connect_timeout(options.connect)
        .pool_idle_timeout(options.pool_idle)
        .pool_max_idle_per_host(options.pool_max_idle_per_host)
        .build()
        .map_err(|error| TargetError::Unreachable { detail: format!("cannot set up the client: {error}") })
}

// === impl HttpOptions ===

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::default(),
            connect: Duration::from_secs(10),
            pool_idle: Duration::from_secs(60),
            pool_max_idle_per_host: 256,
        }
    }
}
