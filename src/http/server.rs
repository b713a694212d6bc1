//! The listener.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use actix_web_lab::middleware::CatchPanic;

use super::connections::Connections;
use super::{endpoint, health};
use crate::gateway::Runtime;

/// A bound listener and the server on it.
pub struct Bound {
    /// Where it listens; the port is a real one.
    pub address: SocketAddr,
    /// Runs when awaited.
    pub server: Server,
}

/// Binds the data plane. Signals are the caller's business: streams must end in order first.
pub fn bind(listen: SocketAddr, runtime: Data<Runtime>, shutdown: Duration) -> std::io::Result<Bound> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let connections = runtime.connection_limit().map(Connections::new);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(runtime.clone())
            .wrap(CatchPanic::default())
            .route("/healthz", web::get().to(health::healthz))
            .route("/readyz", web::get().to(health::readyz))
            .route("/metrics", web::get().to(health::metrics))
            .default_service(web::to(endpoint::serve))
    })
    .tcp_nodelay(true)
    // Behind a load balancer the gateway must not be the one that closes an idle connection first.
    .keep_alive(Duration::from_secs(75))
    // A client that sends its headers byte by byte.
    .client_request_timeout(Duration::from_secs(5))
    // A client that went away is noticed while a call runs.
    .h1_allow_half_closed(false)
    .shutdown_timeout(shutdown.as_secs().max(1))
    .disable_signals();
    let server = match connections {
        Some(connections) => server.on_connect(connections.on_connect()),
        None => server,
    };
    let server = server.listen(listener)?.run();
    Ok(Bound { address, server })
}
