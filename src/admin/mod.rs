//! The gateway's own door for `sessiongate sessions` and `sessiongate sync`: a Unix socket in the data folder, so that
//! whoever may read the folder may use it and nobody else can.

mod client;
mod door;
mod find;
mod routes;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};

use self::door::Door;
use crate::gateway::Runtime;

pub use client::{AdminClient, AdminError};
pub use find::{Found, find, stored_page};
pub use routes::{SessionLine, SessionPage, SyncLine};

/// Binds the door and serves it. The store's lock was taken before, so a socket that is there belongs to a dead process.
pub fn open(data_dir: &Path, runtime: Data<Runtime>) -> std::io::Result<ServerHandle> {
    let door = Door::of(data_dir)?;
    match std::fs::remove_file(door.path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(door.path())?;
    std::fs::set_permissions(door.path(), std::fs::Permissions::from_mode(0o600))?;
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
    let handle = server.handle();
    actix_rt::spawn(async move {
        let _ = server.await;
        // The server takes its socket away by the path.
        drop(door);
    });
    Ok(handle)
}
