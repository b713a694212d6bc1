//! What `sessiongate check` finds out about the issuers of tokens.

use std::time::{Duration, Instant};

use serde::Serialize;
use sessiongate_actors::clock;

use crate::auth::jwt::{IssuerLook, Issuers, JwtOptions};
use crate::config::{Authorizer, Config, GatewayConfig, JwtAuthorizer};
use crate::gateway::{WayOut, jwt_rules};

/// One gateway and its issuer.
#[derive(Serialize)]
pub(super) struct Line {
    gateway: String,
    discovery_url: String,
    issuer: Option<String>,
    pub ok: bool,
    error: Option<String>,
    keys: usize,
    latency_ms: u64,
}

/// The columns of [`Line::row`].
pub(super) const HEAD: [&str; 6] = ["GATEWAY", "DISCOVERY", "RESULT", "KEYS", "ISSUER", "LATENCY"];

/// Asks the issuer of each gateway that has one, within this time.
pub(super) async fn look(config: &Config, limit: Duration) -> Vec<Line> {
    let asked = config.gateways.iter().filter_map(|gateway| Some((gateway, gateway.authorizer.tokens()?)));
    let asked: Vec<_> = asked.collect();
    let way = WayOut::new(config);
    // Gateways that share an issuer ask it once. Without a way out the log says why.
    let issuers = match asked.is_empty() {
        true => None,
        false => way.outbound().map(|outbound| Issuers::new(outbound.clone(), JwtOptions::default())),
    };
    let Some(issuers) = issuers else { return Vec::new() };
    futures_util::future::join_all(asked.into_iter().map(|(gateway, jwt)| one(&issuers, gateway, jwt, limit))).await
}

async fn one(issuers: &Issuers, gateway: &GatewayConfig, jwt: &JwtAuthorizer, limit: Duration) -> Line {
    let began = Instant::now();
    let found = match tokio::time::timeout(limit, ask(issuers, gateway, jwt)).await {
        Ok(found) => found,
        Err(_) => Err(format!("no answer within {limit:?}")),
    };
    let look = found.as_ref().ok();
    Line {
        gateway: gateway.name.clone(),
        discovery_url: jwt.discovery_url.url().to_string(),
        issuer: look.map(|look| look.issuer.to_string()),
        ok: found.is_ok(),
        error: found.as_ref().err().cloned(),
        keys: look.map_or(0, |look| look.keys),
        latency_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// What an operator reads, who may know why.
async fn ask(issuers: &Issuers, gateway: &GatewayConfig, jwt: &JwtAuthorizer) -> Result<IssuerLook, String> {
    let authenticate_only = matches!(gateway.authorizer, Authorizer::AuthenticateOnly(_));
    let authorizer = issuers.authorizer(jwt_rules(jwt, authenticate_only)).map_err(|error| error.to_string())?;
    match authorizer.look(clock::now()).await {
        Ok(look) if look.keys == 0 => Err(format!("its key set has no key that can be used, of {}", look.unusable)),
        Ok(look) => Ok(look),
        Err(error) => Err(error.detail().map_or_else(|| error.to_string(), str::to_owned)),
    }
}

// === impl Line ===

impl Line {
    pub fn row(&self) -> Vec<String> {
        vec![
            self.gateway.clone(),
            self.discovery_url.clone(),
            self.error.clone().unwrap_or_else(|| "ok".into()),
            self.keys.to_string(),
            self.issuer.clone().unwrap_or_default(),
            format!("{} ms", self.latency_ms),
        ]
    }
}
