//! Starts the real programs and ends them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// A program that printed its address.
pub struct Program {
    pub url: String,
    child: Child,
    log: Arc<Mutex<String>>,
}

/// Waits until `look` finds something; panics with `what` when it takes longer than anything may.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(crate::client::LIMIT, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

impl Program {
    /// Starts `command` and waits for a line with an address that ends in `mcp`.
    pub fn start(mut command: Command) -> Option<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = collect(child.stderr.take().unwrap());
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
                    let ended = child.wait();
                    eprintln!("{ended:?} before it was ready: {}", log.lock().unwrap());
                    return None;
                }
            }
        };
        // Whoever stops reading must not block the program.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { url, child, log })
    }

    /// Starts `command` and does not wait; it will serve at `url`.
    fn start_at(mut command: Command, url: String) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = collect(child.stderr.take().unwrap());
        Self { url, child, log }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).unwrap();
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Its child processes whose command line contains `text`.
    pub fn children(&self, text: &str) -> Vec<u32> {
        let pid = self.id().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            // After the name in brackets: state, parent.
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let (state, parent) = (fields.next(), fields.next());
            state != Some("Z") && parent == Some(&pid) && String::from_utf8_lossy(&command).contains(text)
        })
        .collect()
    }

    /// A page of the gateway, or of the reference server's `/control`.
    pub async fn page(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.base())).await.unwrap()
    }

    /// What the reference server counted.
    pub async fn stats(&self) -> Value {
        serde_json::from_slice(&self.page("/control/stats").await.bytes().await.unwrap()).unwrap()
    }

    /// The sum of a metric's values over the lines that contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.page("/metrics").await.text().await.unwrap();
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
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
        self.signal(Signal::SIGTERM);
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

/// Keeps what a program logs; `SESSIONGATE_TEST_LOG=1` shows it too.
fn collect(stderr: std::process::ChildStderr) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let (kept, shown) = (log.clone(), std::env::var_os("SESSIONGATE_TEST_LOG").is_some());
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if shown {
                eprintln!("{line}");
            }
            let mut kept = kept.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    log
}

/// The program of the reference server: an example of this package, so it is built with the tests.
pub fn reference_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sessiongate")).parent().unwrap().join("examples/reference_server")
}

/// The gateway's program with these arguments, until it ends. Not for commands that take long: it blocks.
pub fn sessiongate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sessiongate")).args(arguments).output().unwrap()
}

/// Starts a reference server on a free port.
pub fn reference_server(arguments: &[&str]) -> Program {
    let mut command = Command::new(reference_program());
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
        Self { folder: tempfile::tempdir().unwrap(), port: free_port() }
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

    /// Starts a gateway with a configuration of one gateway `test` at `/mcp`: see [`Home::write`].
    pub fn configured(&self, yaml: &str) -> Program {
        self.write(yaml);
        self.again()
    }

    /// The same with more arguments, without waiting until it is ready.
    pub fn launched(&self, yaml: &str, arguments: &[&str]) -> Program {
        self.write(yaml);
        Program::start_at(self.command(arguments), format!("http://127.0.0.1:{}/mcp", self.port))
    }

    /// Starts it again on the configuration that is there.
    pub fn again(&self) -> Program {
        Program::start(self.command(&[])).expect("the gateway starts")
    }

    /// The same, without waiting until it is ready.
    pub fn again_at_once(&self) -> Program {
        Program::start_at(self.command(&[]), format!("http://127.0.0.1:{}/mcp", self.port))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
        command.args(["serve", "--config"]).arg(self.file()).args(arguments);
        // It has the keys that a test gives it, not those of whoever runs the tests.
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command
    }

    /// The same, killed at a point (`actors/src/crash.rs`); none if that was before it was ready.
    pub fn again_until(&self, crash: &str) -> Option<Program> {
        let mut command = self.command(&[]);
        command.env("SESSIONGATE_CRASH_AT", crash);
        Program::start(command)
    }

    pub fn file(&self) -> PathBuf {
        self.path().join("gateway.yaml")
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a configuration: the lines of one gateway, under what all tests have in common.
    pub fn write(&self, gateway: &str) {
        let (port, data) = (self.port, self.data());
        let head =
            format!("listen: 127.0.0.1:{port}\ndata_dir: {}\nallow_private_networks: [127.0.0.0/8]\n", data.display());
        let process = gateway.lines().filter_map(|line| line.strip_prefix("! ")).map(|line| format!("{line}\n"));
        let own = gateway.lines().filter(|line| !line.starts_with("! ") && !line.trim().is_empty());
        let own: String = own.map(|line| format!("    {line}\n")).collect();
        let process: String = process.collect();
        self.write_text(&format!("{head}{process}gateways:\n  - name: test\n    path: /mcp\n{own}"));
    }

    /// Moves a file into place, as editors do it.
    pub fn write_text(&self, text: &str) {
        let new = self.path().join("new.yaml");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }
}

/// A target over HTTP as a line of a configuration; `more` are further keys.
pub fn http_target(name: &str, url: &str, more: &str) -> String {
    format!("  - {{name: {name}, mcp: {{url: \"{url}\"}}{}{more}}}\n", if more.is_empty() { "" } else { ", " })
}

/// A reference server as a process, as a line of a configuration.
pub fn stdio_target(name: &str, more: &str) -> String {
    let program = reference_program();
    let comma = if more.is_empty() { "" } else { ", " };
    format!("  - {{name: {name}, mcp: {{command: \"{}\", args: [--stdio]}}{comma}{more}}}\n", program.display())
}

/// A port that nothing else takes between two starts of a gateway: not one of those that the system hands out, where
/// tests that run beside this one would find it, but one from a range that belongs to this process as long as it lives.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static RANGE: OnceLock<(u16, std::fs::File)> = OnceLock::new();
    const FIRST: u16 = 15_000;
    const EACH: u16 = 16;
    let (range, _) = RANGE.get_or_init(range);
    (0..EACH)
        .map(|_| FIRST + range * EACH + NEXT.fetch_add(1, Ordering::Relaxed) % EACH)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// The number of a range that no other process of tests has, and the lock that says so.
fn range() -> (u16, std::fs::File) {
    const RANGES: u16 = 1000;
    let folder = std::env::temp_dir().join("sessiongate-test-ports");
    std::fs::create_dir_all(&folder).unwrap();
    let first = u16::try_from(std::process::id() % u32::from(RANGES)).unwrap();
    let mut ranges = (first..RANGES).chain(0..first);
    let own = ranges.find_map(|range| {
        let file = std::fs::File::create(folder.join(range.to_string())).unwrap();
        file.try_lock().is_ok().then_some((range, file))
    });
    own.expect("a range of ports")
}
