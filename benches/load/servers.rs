//! The processes between which a call travels.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::connection::Connection;
use crate::options::Options;
use crate::process::Process;
use crate::{Result, issuer, procfs, upstream};

/// What all parts share. The gateway is started by each part, with a data folder of its own.
pub struct Bench {
    /// Where configurations, logs and data are; removed at the end.
    folder: tempfile::TempDir,
    /// The MCP server.
    pub upstream: SocketAddr,
    /// nginx in front of it.
    pub nginx: Option<Nginx>,
    log: String,
    _upstream: Process,
}

/// A plain reverse proxy.
pub struct Nginx {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What is measured.
pub struct Gateway {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    data: PathBuf,
}

// === impl Bench ===

impl Bench {
    /// Starts the upstream and nginx.
    pub async fn start(options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.env(upstream::ROLE, "1").stdin(Stdio::piped());
        let (process, line) = Process::start_and_read("the upstream", "", &mut command).await?;
        let upstream = line.parse()?;
        let nginx = if options.nginx { Nginx::start(folder.path(), upstream).await? } else { None };
        Ok(Self { folder, upstream, nginx, log: options.log.clone(), _upstream: process })
    }

    /// Starts a gateway with nothing in its store.
    pub async fn gateway(&self, name: &str) -> Result<Gateway> {
        Gateway::start(self.folder.path(), name, self.upstream, &self.log).await
    }
}

// === impl Nginx ===

impl Nginx {
    async fn start(folder: &Path, upstream: SocketAddr) -> Result<Option<Self>> {
        let folder = folder.join("nginx");
        fs::create_dir_all(&folder)?;
        // Free a moment ago; nginx cannot say which port it took.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let at = folder.display();
        let config = format!(
            "daemon off;
worker_processes auto;
worker_rlimit_nofile {files};
pid {at}/pid;
error_log {at}/error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {at}/body;
  proxy_temp_path {at}/proxy;
  fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi;
  scgi_temp_path {at}/scgi;
  tcp_nodelay on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  upstream behind {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
",
            files = procfs::file_limit(),
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(&file).stdin(Stdio::null());
        command.stderr(File::create(folder.join("stderr.log"))?);
        let Ok(process) = Process::start("nginx", true, &mut command) else { return Ok(None) };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(folder.join("stderr.log")).unwrap_or_default();
                return Err(format!("nginx did not come up: {log}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Self { process, address }))
    }

    /// CPU time of its workers.
    pub fn cpu_us(&self) -> Result<u64> {
        procfs::children(self.process.pid())?.into_iter().map(procfs::cpu_us).sum()
    }
}

// === impl Gateway ===

impl Gateway {
    async fn start(folder: &Path, name: &str, upstream: SocketAddr, log: &str) -> Result<Self> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let data = folder.join("data");
        // The defaults, but for bounds that a bench with one principal reaches and a keep-alive that it waits for.
        let config = format!(
            "listen: 127.0.0.1:0
data_dir: {data}
allow_private_networks: [127.0.0.0/8]
log: {{level: \"{log}\"}}
limits: {{sessions: 10000000}}
gateways:
  - name: default
    path: /mcp
    naming: plain
    keep_alive: 5s
    sessions:
      timeout: 8h
      idle_timeout: 4h
      max_per_principal: 10000000
      calls_in_flight: 10000
      pending_questions: 10000
      events: {{count: 10000, bytes: 64MiB}}
    targets:
      - name: bench
        era: legacy
        mcp: {{url: \"http://{upstream}/mcp\", transport: streamable-http}}
  - name: modern
    path: /modern
    naming: plain
    sessions: {{timeout: 8h, idle_timeout: 4h, max_per_principal: 10000000}}
    targets:
      - name: bench
        era: modern
        mcp: {{url: \"http://{upstream}/modern\", transport: streamable-http}}
  - name: guarded
    path: /guarded
    naming: plain
    sessions: {{timeout: 8h, idle_timeout: 4h, max_per_principal: 10000000, calls_in_flight: 10000}}
    authorizer: {{type: jwt, discovery_url: \"http://{upstream}{discovery}\", allowed_audience: [bench]}}
    targets:
      - name: bench
        era: legacy
        mcp: {{url: \"http://{upstream}/mcp\", transport: streamable-http}}
",
            discovery = issuer::DISCOVERY,
            data = data.display(),
        );
        // Alone in its folder: the gateway watches that folder, and each line of a log in it would be an event.
        let file = folder.join("config/gateway.yaml");
        fs::create_dir_all(folder.join("config"))?;
        fs::write(&file, config)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
        command.arg("serve").arg("--config").arg(&file).stdin(Stdio::null());
        command.stderr(File::options().append(true).create(true).open(folder.join("log"))?);
        let started = Process::start_and_read("the gateway", "default: http://", &mut command).await;
        let (process, line) = started
            .map_err(|error| format!("{error}: {}", fs::read_to_string(folder.join("log")).unwrap_or_default()))?;
        let address = line.split('/').next().unwrap_or_default().parse()?;
        Ok(Self { process, address, data })
    }

    /// Stops it in an orderly way and starts it again on the same data.
    pub async fn restart(self, bench: &Bench) -> Result<Self> {
        let Self { process, data, .. } = self;
        process.stop().await?;
        let name =
            data.parent().and_then(Path::file_name).and_then(|name| name.to_str()).ok_or("no folder")?.to_owned();
        bench.gateway(&name).await
    }

    /// CPU time.
    pub fn cpu_us(&self) -> Result<u64> {
        procfs::cpu_us(self.process.pid())
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> Result<u64> {
        procfs::rss(self.process.pid())
    }

    /// Bytes in the data folder.
    pub fn disk(&self) -> u64 {
        procfs::disk(&self.data)
    }

    /// A value of `/metrics`, all labels summed; none if it is not there.
    pub async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let reply = Connection::open(self.address).await?.get("/metrics").await?;
        let text = std::str::from_utf8(&reply.body)?;
        let values = text.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value)))
    }
}
