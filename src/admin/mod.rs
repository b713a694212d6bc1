//! The gateway's own door for `sessiongate sessions` and `sessiongate sync`: a Unix socket in the data folder, so that
//! whoever may read the folder may use it and nobody else can.

mod client;
mod routes;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};

use crate::gateway::Runtime;

pub use client::{AdminClient, AdminError};
pub use routes::{SessionLine, SyncLine};

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";

/// Where the socket of a data folder is.
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Binds the door. The store's lock was taken before, so a socket that is there belongs to a dead process.
pub fn bind(data_dir: &Path, runtime: Data<Runtime>) -> std::io::Result<Server> {
    let path = socket(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(runtime.clone())
            .route("/sessions", web::get().to(routes::list))
            .route("/sessions/{key}", web::delete().to(routes::end))
            .route("/sync", web::post().to(routes::sync))
            .route("/targets", web::get().to(routes::targets))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen_uds(listener)?
    .run();
    Ok(server)
}
