//! Where the control socket of a data folder is.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";

/// The longest path of a socket in bytes, everywhere (Linux has 107).
const MAX_PATH: usize = 103;

/// The way to a control socket, short enough for the system as long as this is kept.
pub(super) struct Door {
    path: PathBuf,
    /// The path leads over it.
    _folder: Option<File>,
}

// === impl Door ===

impl Door {
    /// Of this data folder.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path, _folder: None });
        }
        if !cfg!(target_os = "linux") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of the data folder is too long"));
        }
        // Over the open folder every path is short, and the socket stays where only the folder's owner comes.
        let folder = File::open(data_dir)?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(SOCKET);
        Ok(Self { path, _folder: Some(folder) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}
