//! Clients: one connection each, the next request when the answer to the last one is there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::Result;
use crate::connection::{Connection, Reply};
use crate::upstream::EVENTS;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{}},"roots":{}},"clientInfo":{"name":"load-bench","version":"1.0.0"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A call that is answered in JSON.
    Json,
    /// The same by a modern client of a modern target.
    Modern,
    /// The same by a modern client of a target that has sessions.
    Down,
    /// The same by a client with a session of a modern target.
    Up,
    /// A call that is answered with ten progress events and a result.
    Sse,
    /// A session from `initialize` to DELETE with one call in it.
    Churn,
}

/// A client with its connection.
pub struct Client {
    connection: Connection,
    session: String,
    next_id: u64,
}

// === impl Work ===

impl Work {
    /// How it stands in the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Json => "JSON call",
            Self::Modern => "JSON call, modern to modern",
            Self::Down => "JSON call, modern client, legacy target",
            Self::Up => "JSON call, legacy client, modern target",
            Self::Sse => "SSE call, 10 events",
            Self::Churn => "session (4 requests)",
        }
    }

    /// Where it goes.
    fn path(self) -> &'static str {
        match self {
            Self::Modern | Self::Up => "/modern",
            _ => "/mcp",
        }
    }
}

// === impl Client ===

impl Client {
    /// Connects and opens a session.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Self::open_at(address, "/mcp").await
    }

    async fn open_at(address: SocketAddr, path: &'static str) -> Result<Self> {
        let mut client = Self { connection: Connection::open(address).await?, session: String::new(), next_id: 1 };
        client.connection.path = path;
        client.initialize().await?;
        client.notify_initialized().await?;
        Ok(client)
    }

    /// The same at another endpoint, by this token.
    pub async fn open_with(address: SocketAddr, path: &'static str, token: &str) -> Result<Self> {
        let mut client = Self::connect(address).await?;
        client.connection.path = path;
        client.connection.token = Some(token.to_owned());
        client.initialize().await?;
        client.notify_initialized().await?;
        Ok(client)
    }

    /// Connects only.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { connection: Connection::open(address).await?, session: String::new(), next_id: 1 })
    }

    /// Opens a session; what was the session before is forgotten, not ended.
    pub async fn initialize(&mut self) -> Result<()> {
        let reply = self.connection.post(None, INITIALIZE).await?;
        self.session = match reply {
            Reply { status: 200, session: Some(session), .. } => session,
            other => return Err(unexpected("initialize", &other)),
        };
        Ok(())
    }

    async fn notify_initialized(&mut self) -> Result<()> {
        let reply = self.connection.post(Some(&self.session), INITIALIZED).await?;
        if reply.status == 202 { Ok(()) } else { Err(unexpected("initialized", &reply)) }
    }

    /// The standing stream of the session, on this connection.
    pub async fn listen(&mut self) -> Result<()> {
        match self.connection.listen(&self.session).await? {
            200 => Ok(()),
            status => Err(format!("GET was answered with {status}").into()),
        }
    }

    /// Reads the standing stream until it holds this.
    pub async fn wait_for(&mut self, wanted: &[u8]) -> Result<()> {
        self.connection.wait_for(wanted).await
    }

    /// One unit of work.
    pub async fn once(&mut self, work: Work) -> Result<()> {
        match work {
            Work::Json | Work::Up => self.call_json().await,
            Work::Modern | Work::Down => self.call_modern().await,
            Work::Sse => self.call_sse().await,
            Work::Churn => {
                self.initialize().await?;
                self.notify_initialized().await?;
                self.call_json().await?;
                let reply = self.connection.delete(&self.session).await?;
                if reply.status < 300 { Ok(()) } else { Err(unexpected("DELETE", &reply)) }
            }
        }
    }

    async fn call_json(&mut self) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"a sentence about as long as what a model says to a tool that looks something up, no more","limit":20,"exact":true}}}}}}"#
        );
        let reply = self.connection.post(Some(&self.session), &body).await?;
        if reply.status == 200 && contains(&reply.body, r#""isError":false"#) {
            return Ok(());
        }
        Err(unexpected("echo", &reply))
    }

    async fn call_modern(&mut self) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"a sentence about as long as what a model says to a tool that looks something up, no more","limit":20,"exact":true}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{"form":{{}}}},"roots":{{}}}},"io.modelcontextprotocol/clientInfo":{{"name":"load-bench","version":"1.0.0"}}}}}}}}"#
        );
        let reply = self.connection.post_modern("tools/call", "echo", &body).await?;
        if reply.status == 200 && contains(&reply.body, r#""isError":false"#) {
            return Ok(());
        }
        Err(unexpected("echo", &reply))
    }

    async fn call_sse(&mut self) -> Result<()> {
        let id = self.next_id;
        self.next_id += 1;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"progress10","arguments":{{}},"_meta":{{"progressToken":"p{id}"}}}}}}"#
        );
        let reply = self.connection.post(Some(&self.session), &body).await?;
        let text = std::str::from_utf8(&reply.body)?;
        let events = text.matches("notifications/progress").count() as u64;
        if reply.status == 200 && events == EVENTS && text.contains(r#""result""#) {
            return Ok(());
        }
        Err(unexpected("progress10", &reply))
    }
}

/// Opens many.
pub async fn open(address: SocketAddr, count: usize, work: Work) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(match work {
            Work::Json | Work::Sse | Work::Up => Client::open_at(address, work.path()).await?,
            Work::Churn | Work::Modern | Work::Down => {
                let mut client = Client::connect(address).await?;
                client.connection.path = work.path();
                client
            }
        });
    }
    Ok(clients)
}

/// Lets all clients work for some time; gives how long each unit took, in nanoseconds.
pub async fn drive(clients: &mut [Client], work: Work, time: Duration) -> Result<Vec<u64>> {
    let end = Instant::now() + time;
    let each = clients.iter_mut().map(|client| async move {
        let mut took = Vec::new();
        let mut started = Instant::now();
        while started < end {
            client.once(work).await?;
            let now = Instant::now();
            took.push(u64::try_from((now - started).as_nanos()).unwrap_or(u64::MAX));
            started = now;
        }
        Ok::<_, Box<dyn std::error::Error>>(took)
    });
    Ok(try_join_all(each).await?.concat())
}

fn contains(body: &[u8], wanted: &str) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| text.contains(wanted))
}

fn unexpected(what: &str, reply: &Reply) -> Box<dyn std::error::Error> {
    let text = String::from_utf8_lossy(&reply.body);
    let start: String = text.chars().take(300).collect();
    format!("{what} was answered with {}: {start}", reply.status).into()
}
