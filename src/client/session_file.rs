//! A kept session: its id and what the endpoint said at `initialize`, in a file that only its owner can read.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use rmcp::model::InitializeResult;
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::ClientError;

/// Longest session file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What a session needs to go on in another process.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredSession {
    /// The endpoint that knows the session.
    pub url: String,
    /// `Mcp-Session-Id`.
    pub session_id: String,
    /// The endpoint's answer to `initialize`: revision and capabilities stay as they were agreed.
    pub initialize: InitializeResult,
}

// === impl StoredSession ===

impl StoredSession {
    /// Reads a file, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read, holds something else, or a session of another endpoint.
    pub fn load(path: &Path, url: &Url) -> Result<Option<Self>, ClientError> {
        let unusable = |reason: String| ClientError::SessionFile { path: path.to_owned(), reason };
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| unusable(error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let stored: Self = serde_json::from_str(&text).map_err(|_| unusable("it holds no session".into()))?;
        if stored.url != url.as_str() {
            return Err(unusable(format!("it holds a session of {}", stored.url)));
        }
        Ok(Some(stored))
    }

    /// Writes the file in one step: a reader sees the old session or the new one. Mode 0600, because whoever has the
    /// id of an anonymous session has the session.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ClientError> {
        self.write(path).map_err(|error| ClientError::SessionFile { path: path.to_owned(), reason: error.to_string() })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let written = self.write_new(&new).and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(path)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.sync_all()
    }
}
