//! Starts the real programs and ends them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A program that printed its address.
pub struct Program {
    pub url: String,
    child: Child,
}

impl Program {
    /// Starts `command` and waits for a line with an address that ends in `mcp`.
    fn start(mut command: Command) -> Option<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(log()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            match lines.next() {
                Some(Ok(line)) => {
                    if let Some(at) = line.find("http://") {
                        break line[at..].trim().to_owned();
                    }
                }
                // It ended before it was ready: a crash test wants to know.
                _ => {
                    let _ = child.wait();
                    return None;
                }
            }
        };
        // Whoever stops reading must not block the program.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { url, child })
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and wait for the exit.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let id = i32::try_from(self.child.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap()
    }

    pub fn base(&self) -> &str {
        self.url.strip_suffix("/mcp").unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `SESSIONGATE_TEST_LOG=1` shows what the programs log.
fn log() -> Stdio {
    if std::env::var_os("SESSIONGATE_TEST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() }
}

/// The reference server: an example of this package, so it is built with the tests.
pub fn reference_server(arguments: &[&str]) -> Program {
    let gateway = PathBuf::from(env!("CARGO_BIN_EXE_sessiongate"));
    let mut command = Command::new(gateway.parent().unwrap().join("examples/reference_server"));
    command.args(["--port", "0"]).args(arguments);
    Program::start(command).expect("the reference server starts")
}

/// A folder for a gateway.
pub struct Home {
    folder: TempDir,
    port: u16,
}

impl Home {
    /// With a port that the gateway keeps over restarts.
    pub fn new() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder: tempfile::tempdir().unwrap(), port }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a gateway in front of one target, plain names; `crash` as in `actors/src/crash.rs`.
    pub fn gateway(&self, target: &str, crash: Option<&str>) -> Option<Program> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
        command
            .args(["serve", "--target", &format!("ref={target}"), "--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(self.path().join("data"));
        if let Some(crash) = crash {
            command.env("SESSIONGATE_CRASH_AT", crash);
        }
        Program::start(command)
    }

    /// Starts a gateway with a configuration; `PORT` and `DATA` in it are replaced.
    pub fn configured(&self, yaml: &str) -> Program {
        let file = self.path().join("gateway.yaml");
        self.write(yaml);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
        command.args(["serve", "--config"]).arg(file);
        Program::start(command).expect("the gateway starts")
    }

    pub fn write(&self, yaml: &str) {
        let data = self.path().join("data");
        let text = yaml.replace("PORT", &self.port.to_string()).replace("DATA", data.to_str().unwrap());
        // Moved into place, as editors do it.
        let new = self.path().join("new.yaml");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path().join("gateway.yaml")).unwrap();
    }
}
