//! The guarded HTTP clients that all targets of a gateway share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::Resolve;
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
    resolving(options, GuardedResolver::new(Arc::new(options.policy.clone()), reach))
}

fn resolving(options: &HttpOptions, resolver: impl Resolve + 'static) -> Result<reqwest::Client, TargetError> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(resolver)
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use parking_lot::Mutex;
    use reqwest::dns::{Addrs, Name, Resolving};

    use super::*;
    use crate::http::endpoint::send_error;

    /// For an answer, which comes at once or never.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// A name server of an attacker's: each question has another answer.
    #[derive(Clone, Default)]
    struct Rebinding(Arc<Mutex<VecDeque<Vec<SocketAddr>>>>);

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            let answer = self.0.lock().pop_front().expect("no question more than there are connections");
            Box::pin(async move { Ok(Box::new(answer.into_iter()) as Addrs) })
        }
    }

    struct World {
        names: Rebinding,
        client: reqwest::Client,
        /// Stands for an address that the policy permits: a public one would be somebody's.
        permitted: SocketAddr,
        private: SocketAddr,
        /// At the private address.
        listener: TcpListener,
    }

    impl World {
        fn new() -> Self {
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let listener = TcpListener::bind("127.0.0.2:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let (permitted, private) = (server.local_addr().unwrap(), listener.local_addr().unwrap());
            std::thread::spawn(move || {
                for mut connection in server.incoming().flatten() {
                    let _ = connection.read(&mut [0; 1024]);
                    let _ =
                        connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
                }
            });
            let policy = AddressPolicy { allowed: vec!["127.0.0.1/32".parse().unwrap()] };
            let names = Rebinding::default();
            let resolver = GuardedResolver::over(names.clone(), Arc::new(policy.clone()), Reach::Listed);
            let client = resolving(&HttpOptions { policy, ..HttpOptions::default() }, resolver).unwrap();
            Self { names, client, permitted, private, listener }
        }

        /// Asks for a document while the name leads there.
        async fn get(&self, addresses: &[SocketAddr]) -> Result<u16, TargetError> {
            self.names.0.lock().push_back(addresses.to_vec());
            let asked = self.client.get("http://issuer.example/document").timeout(PATIENCE);
            let answer = asked.send().await.map_err(send_error)?;
            let status = answer.status().as_u16();
            assert_eq!(answer.text().await.unwrap(), "{}");
            Ok(status)
        }

        fn assert_private_is_untouched(&self) {
            assert_eq!(self.listener.accept().map(drop).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
            assert!(self.names.0.lock().is_empty(), "each connection is one question, and goes where its answer said");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_rebound_to_a_private_address_is_refused() {
        let world = World::new();
        for _ in 0..2 {
            assert_eq!(world.get(&[world.permitted]).await.unwrap(), 200);
            let refused = world.get(&[world.private]).await;
            assert!(matches!(refused, Err(TargetError::AddressRefused { .. })), "{refused:?}");
        }
        world.assert_private_is_untouched();
    }

    #[tokio::test]
    async fn of_a_name_with_several_addresses_only_those_that_are_permitted_are_tried() {
        let world = World::new();
        assert_eq!(world.get(&[world.private, world.permitted]).await.unwrap(), 200);
        // Where none of those answers, the others are no way out.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = world.get(&[free, world.private]).await;
        assert!(matches!(error, Err(TargetError::Unreachable { .. })), "{error:?}");
        world.assert_private_is_untouched();
    }
}
