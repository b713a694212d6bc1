//! The README's commands, word for word, in an empty folder.
//!
//! `cargo run --` is the program that was built, and `npx` stands in for the package that it would fetch. Where somebody
//! else listens on the default port, another one is used in all commands.

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::harness::{eventually, reference_program};

const README: &str = include_str!("../../README.md");
const PORT: &str = "8080";
/// What ends by Ctrl-C has ended after this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a screen.
const LOOK: Duration = Duration::from_millis(10);

/// The README's examples of this language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The commands in its text.
fn inline(program: &str) -> Vec<String> {
    let outside: String = README.split("\n```").step_by(2).collect();
    let quoted = outside.split('`').skip(1).step_by(2);
    let commands = quoted.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    commands.filter(|text| text.starts_with(&format!("{program} "))).collect()
}

/// A folder to work in, and a shell that knows the README's programs.
pub struct Desk {
    folder: tempfile::TempDir,
    port: String,
}

/// A command in a terminal of its own.
pub struct Terminal {
    child: Child,
    input: ChildStdin,
    shown: Arc<Mutex<String>>,
    /// Ends with its output.
    closed: mpsc::Receiver<()>,
}

// === impl Desk ===

impl Desk {
    pub fn new() -> Self {
        let taken = std::net::TcpListener::bind(("127.0.0.1", PORT.parse().unwrap())).is_err();
        let port = if taken {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port().to_string()
        } else {
            PORT.to_owned()
        };
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let program = env!("CARGO_BIN_EXE_sessiongate");
        symlink(program, bin.join("sessiongate")).unwrap();
        let cargo = format!(
            "#!/bin/sh\n[ \"$1\" = run ] && shift || exit 90\n[ \"$1\" = --quiet ] && shift\n[ \"$1\" = -- ] && shift \
             || exit 91\nexec {program} \"$@\"\n"
        );
        let npx = format!(
            "#!/bin/sh\n[ \"$*\" = '-y @modelcontextprotocol/server-filesystem /data' ] || exit 92\nexec {} --stdio\n",
            reference_program().display()
        );
        for (name, text) in [("cargo", cargo), ("npx", npx)] {
            std::fs::write(bin.join(name), text).unwrap();
            std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        Self { folder, port }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The text with the port that is used here.
    fn here(&self, text: &str) -> String {
        text.replace(&format!(":{PORT}"), &format!(":{}", self.port))
    }

    /// A terminal in which a shell runs this script.
    pub fn terminal(&self, script: &str) -> Terminal {
        let mut script = self.here(script);
        // Two commands listen on the default without a word.
        if self.port != PORT {
            for starts in ["cargo run -- demo", "sessiongate serve"] {
                script = script.replace(starts, &format!("{starts} --listen 127.0.0.1:{}", self.port));
            }
        }
        let file = self.path().join("script");
        std::fs::write(&file, format!("stty rows 40 cols 120\n{script}")).unwrap();
        let path = format!("{}:{}", self.path().join("bin").display(), std::env::var("PATH").unwrap());
        let shell = format!("exec bash -e -O expand_aliases {}", file.display());
        let mut child = Command::new("script")
            .args(["-q", "-e", "-f", "-c", &shell, "/dev/null"])
            .current_dir(self.path())
            .env("PATH", path)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let shown: Arc<Mutex<String>> = Arc::default();
        let screen = shown.clone();
        let (open, closed) = mpsc::channel();
        std::thread::spawn(move || {
            let _open: mpsc::Sender<()> = open;
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                screen.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Terminal { child, input, shown, closed }
    }
}

// === impl Terminal ===

impl Terminal {
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until this is on the screen.
    pub async fn shows(&mut self, text: &str) {
        let found = tokio::time::timeout(crate::client::LIMIT, async {
            loop {
                // What a program has said is still on its way when it is gone.
                let ended = self.child.try_wait().unwrap();
                if self.shown().contains(text) {
                    return true;
                }
                if ended.is_some_and(|status| !status.success()) {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        assert!(found.await.unwrap_or(false), "no `{text}` in:\n{}", self.shown());
    }

    /// Types these keys.
    pub fn type_in(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> i32 {
        let child = &mut self.child;
        let status = eventually("the end", async || child.try_wait().unwrap()).await;
        status.code().unwrap()
    }

    /// Ctrl-C, as a person ends a server.
    async fn interrupt(&mut self) {
        self.type_in("\x03");
        self.ended().await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // To close the terminal is not enough: a gateway takes the hang-up for a wish to read its configuration again.
        let _ = self.input.write_all(b"\x03").and_then(|()| self.input.flush());
        let _ = self.closed.recv_timeout(PATIENCE);
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(id, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// All commands in one test, because they share a port.
#[tokio::test]
async fn its_commands_work_word_for_word() {
    let shell = blocks("sh");
    let [demo, first, serve, tests] = shell.as_slice() else { panic!("other examples than expected: {shell:?}") };
    let desk = Desk::new();

    let mut running = desk.terminal(demo);
    running.shows(&desk.here("http://127.0.0.1:8080/mcp")).await;
    for client in ["Claude Code", "VS Code", "MCP Inspector", "sessiongate call"] {
        running.shows(client).await;
    }
    let mut session = desk.terminal(first);
    // Of `ls`, then of `brew`, then the form of `order_tea`.
    session.shows("order_tea").await;
    session.shows("brew").await;
    session.shows("The tea is ready").await;
    session.shows("What may we bring you?").await;
    // Each field has a default, or may be left out.
    for field in ["Cups", "Extras", "Note", "Tea", "To go"] {
        session.shows(&format!("{field} ")).await;
        session.type_in("\r");
    }
    assert_eq!(session.ended().await, 0, "{}", session.shown());
    session.shows("Ordered: 2 cups of darjeeling").await;
    running.interrupt().await;

    let mut running = desk.terminal(serve);
    let url = desk.here("http://127.0.0.1:8080/mcp");
    running.shows(&url).await;
    let mut listing = desk.terminal(&format!("sessiongate ls {url}\n"));
    assert_eq!(listing.ended().await, 0, "{}", listing.shown());
    listing.shows("files___sg_echo").await;
    running.interrupt().await;

    let [yaml] = &blocks("yaml")[..] else { panic!("one configuration is expected") };
    std::fs::write(desk.path().join("gateway.yaml"), desk.here(yaml)).unwrap();
    let [check, serve] = &inline("sessiongate")[..] else { panic!("{:?}", inline("sessiongate")) };
    let mut checking = desk.terminal(check);
    // It is good, but of its targets only one runs here.
    assert_eq!(checking.ended().await, 1, "{}", checking.shown());
    for word in ["shop", "cart", "files"] {
        checking.shows(word).await;
    }
    let mut running = desk.terminal(serve);
    running.shows(&url).await;
    let mut listing = desk.terminal(&format!("sessiongate ls {url}\n"));
    assert_eq!(listing.ended().await, 0, "{}", listing.shown());
    listing.shows("files___sg_echo").await;
    running.interrupt().await;

    // This one is what CI runs, and what runs this test.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(std::fs::metadata(root.join(tests.trim())).unwrap().permissions().mode() & 0o111, 0o111);
    assert!(std::fs::read_to_string(root.join(".ci/run")).unwrap().contains(&format!("exec {}", tests.trim())));
}

#[test]
fn its_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in links.filter(|link| !link.contains("://")) {
        assert!(root.join(link).exists(), "{link}");
    }
}
