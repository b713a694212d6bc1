//! A reference MCP server on the official Rust SDK: the target of the gateway's tests.
//!
//! It offers every fixture of the official conformance suite for 2025-11-25 and 2026-07-28, and `sg_` tools for what only a
//! gateway cares about; `--era` says which of the two wires it speaks, or both on one URL. Streams are resumable for as long as their session lives, and
//! `--journal` writes each effect to a file, so that a crash test can count them.

mod calls;
mod catalogue;
mod catalogue_modern;
mod era;
mod event_log;
mod input_required;
mod legacy_tasks;
mod own;
mod questions;
mod request_state;
mod results;
mod server;
mod sessions;
mod state;
mod subscriptions;
mod tasks;

use std::{error::Error, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    routing::{get, post},
    serve::ListenerExt,
};
use clap::Parser;
use rmcp::{
    ServiceExt,
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};
use serde_json::json;

use crate::{era::Era, server::ReferenceServer, sessions::Sessions, state::Shared};

/// A reference MCP server for tests.
#[derive(Parser)]
struct Options {
    /// Port on loopback; 0 takes a free one, and the address is printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Speak on standard input and output instead of HTTP.
    #[arg(long)]
    stdio: bool,
    /// Offer 250 more tools, in pages of 50.
    #[arg(long)]
    many: bool,
    /// What it speaks: sessions up to 2025-11-25, or 2026-07-28, or both on one URL.
    #[arg(long, value_enum, default_value_t)]
    era: Era,
    /// Answer modern requests with JSON where nothing comes before the response.
    #[arg(long)]
    json: bool,
    /// Offer tasks of 2025-11-25 to the sessions of that revision.
    #[arg(long)]
    tasks: bool,
    /// Append one line of JSON per effect to this file.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// What `retry:` says, in milliseconds.
    #[arg(long, default_value_t = 500)]
    retry_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    let mut shared = Shared::new(options.many, options.era, options.journal.as_deref())?;
    shared.legacy_tasks = options.tasks;
    let shared = Arc::new(shared);
    if options.stdio {
        let running = ReferenceServer::new(shared, None).serve(rmcp::transport::stdio()).await?;
        running.waiting().await?;
        return Ok(());
    }
    let sessions = Arc::new(Sessions::new(Duration::from_millis(options.retry_ms)));
    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    // Small events must leave at once, or each one waits for a delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router(shared, sessions, options.json)).await?;
    Ok(())
}

fn router(shared: Arc<Shared>, sessions: Arc<Sessions>, json_response: bool) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(shared.era.has_legacy())
        .with_json_response(json_response)
        .with_allowed_origins(["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"])
        .with_max_request_body_bytes(64 * 1024 * 1024);
    let tasks = shared.legacy_tasks;
    let handlers = (shared.clone(), sessions.clone());
    let mcp = StreamableHttpService::new(
        move || Ok(ReferenceServer::new(handlers.0.clone(), Some(handlers.1.clone()))),
        sessions.clone(),
        config,
    );
    let end = {
        let shared = shared.clone();
        post(async move || {
            shared.subscriptions.end_all();
            Json(json!({}))
        })
    };
    // The body is the URI.
    let touch = {
        let shared = shared.clone();
        post(async move |uri: String| Json(json!({"told": shared.touch(&uri).await})))
    };
    let stats = {
        let sessions = sessions.clone();
        get(async move || {
            let mut stats = shared.stats();
            stats["sessions"] = json!(sessions.live().await);
            stats["resumed"] = json!(sessions.resumed());
            Json(stats)
        })
    };
    let forget = post(async move || Json(json!({"forgotten": sessions.forget_all().await})));
    let mcp = Router::new().nest_service("/mcp", mcp);
    let mcp = match tasks {
        true => mcp.layer(axum::middleware::from_fn(legacy_tasks::translate)),
        false => mcp,
    };
    mcp.route("/control/stats", stats)
        .route("/control/forget-sessions", forget)
        .route("/control/end-subscriptions", end)
        .route("/control/touch", touch)
}
