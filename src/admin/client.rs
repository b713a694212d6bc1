//! The other end of the door.

use std::path::Path;
use std::time::Duration;

use super::door::Door;
use super::find::{Found, range};
use super::{SessionLine, SessionPage, SyncLine};

/// Synchronisations wait for targets.
const DEADLINE: Duration = Duration::from_secs(150);

/// Why the running gateway could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No gateway runs on this folder.
    #[error("no gateway runs on this data folder")]
    NotRunning,
    /// It answered, but not as hoped.
    #[error("{0}")]
    Refused(String),
    /// The way to it broke.
    #[error("the running gateway could not be asked: {0}")]
    Broken(#[from] reqwest::Error),
}

/// Asks a running gateway.
pub struct AdminClient {
    http: reqwest::Client,
    /// The connections go over its path.
    _door: Door,
}

// === impl AdminClient ===

impl AdminClient {
    /// The gateway on a data folder.
    pub fn connect(data_dir: &Path) -> Result<Self, AdminError> {
        let door = Door::of(data_dir).map_err(|_| AdminError::NotRunning)?;
        // A socket file may be left of a dead process: only a connection tells.
        if std::os::unix::net::UnixStream::connect(door.path()).is_err() {
            return Err(AdminError::NotRunning);
        }
        let http = reqwest::Client::builder().unix_socket(door.path()).timeout(DEADLINE).build()?;
        Ok(Self { http, _door: door })
    }

    async fn read<T: serde::de::DeserializeOwned>(response: reqwest::Response) -> Result<T, AdminError> {
        if !response.status().is_success() {
            return Err(AdminError::Refused(response.text().await?));
        }
        let body = response.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| AdminError::Refused(error.to_string()))
    }

    /// All sessions.
    pub async fn sessions(&self) -> Result<Vec<SessionLine>, AdminError> {
        let mut sessions = Vec::new();
        let mut url = String::from("http://gateway/sessions");
        loop {
            let page: SessionPage = Self::read(self.http.get(url).send().await?).await?;
            sessions.extend(page.sessions);
            let Some(next) = page.next else { return Ok(sessions) };
            url = format!("http://gateway/sessions?after={next}");
        }
    }

    /// Ends the one whose key begins so.
    pub async fn end(&self, beginning: &str) -> Result<(), AdminError> {
        if range(beginning).is_none() {
            return Err(AdminError::Refused(Found::Nothing.refusal(beginning)));
        }
        let response = self.http.delete(format!("http://gateway/sessions/{beginning}")).send().await?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(AdminError::Refused(response.text().await?)),
        }
    }

    /// Synchronises targets and waits.
    pub async fn sync(&self, gateway: Option<&str>, target: Option<&str>) -> Result<Vec<SyncLine>, AdminError> {
        let mut url = String::from("http://gateway/sync?");
        for (name, value) in [("gateway", gateway), ("target", target)] {
            if let Some(value) = value {
                url.push_str(&format!("{name}={value}&"));
            }
        }
        Self::read(self.http.post(url).send().await?).await
    }
}
