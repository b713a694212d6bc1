//! An HTTP/1.1 connection that is kept alive, and nothing more: what the client costs is taken from the same two cores
//! as what is measured.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    address: SocketAddr,
    /// The endpoint.
    pub path: &'static str,
    /// The token of each request.
    pub token: Option<String>,
}

/// An answer.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Mcp-Session-Id`.
    pub session: Option<String>,
    /// All of it; of a stream, without the chunk sizes.
    pub body: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

struct Head {
    status: u16,
    session: Option<String>,
    framing: Framing,
}

// === impl Connection ===

impl Connection {
    /// Opens it.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let (input, output) = (BytesMut::with_capacity(4096), Vec::with_capacity(1024));
        Ok(Self { stream, input, output, address, path: "/mcp", token: None })
    }

    /// POSTs a message.
    pub async fn post(&mut self, session: Option<&str>, body: &str) -> Result<Reply> {
        self.head("POST", self.path, session);
        self.output
            .extend_from_slice(b"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n");
        self.output.extend_from_slice(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        self.exchange().await
    }

    /// POSTs a request of 2026-07-28.
    pub async fn post_modern(&mut self, method: &str, name: &str, body: &str) -> Result<Reply> {
        self.head("POST", self.path, None);
        let length = body.len();
        self.output.extend_from_slice(
            format!(
                "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        self.exchange().await
    }

    /// Ends a session.
    pub async fn delete(&mut self, session: &str) -> Result<Reply> {
        self.head("DELETE", self.path, Some(session));
        self.output.extend_from_slice(b"\r\n");
        self.exchange().await
    }

    /// GETs something that ends.
    pub async fn get(&mut self, path: &str) -> Result<Reply> {
        self.head("GET", path, None);
        self.output.extend_from_slice(b"\r\n");
        self.exchange().await
    }

    /// Opens the standing stream of a session; the rest of this connection is that stream.
    pub async fn listen(&mut self, session: &str) -> Result<u16> {
        self.head("GET", "/mcp", Some(session));
        self.output.extend_from_slice(b"Accept: text/event-stream\r\n\r\n");
        timeout(PATIENCE, async {
            self.stream.write_all(&self.output).await?;
            Ok(self.read_head().await?.status)
        })
        .await?
    }

    /// Reads a stream until this was seen in it.
    pub async fn wait_for(&mut self, wanted: &[u8]) -> Result<()> {
        while !self.input.windows(wanted.len()).any(|window| window == wanted) {
            self.fill().await?;
        }
        Ok(())
    }

    fn head(&mut self, method: &str, path: &str, session: Option<&str>) {
        self.output.clear();
        self.output.extend_from_slice(format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address).as_bytes());
        if let Some(token) = &self.token {
            self.output.extend_from_slice(format!("Authorization: Bearer {token}\r\n").as_bytes());
        }
        if let Some(session) = session {
            self.output.extend_from_slice(
                format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n").as_bytes(),
            );
        }
    }

    async fn exchange(&mut self) -> Result<Reply> {
        timeout(PATIENCE, async {
            self.stream.write_all(&self.output).await?;
            let Head { status, session, framing } = self.read_head().await?;
            let body = match framing {
                Framing::Length(length) => self.take(length).await?,
                Framing::Chunked => self.read_chunks().await?,
            };
            Ok(Reply { status, session, body })
        })
        .await?
    }

    async fn fill(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err("the connection was closed".into());
        }
        Ok(())
    }

    async fn take(&mut self, length: usize) -> Result<Bytes> {
        while self.input.len() < length {
            self.fill().await?;
        }
        Ok(self.input.split_to(length).freeze())
    }

    async fn read_head(&mut self) -> Result<Head> {
        loop {
            if let Some((length, head)) = parse_head(&self.input)? {
                self.input.advance(length);
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn read_chunks(&mut self) -> Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let end = loop {
                match self.input.windows(2).position(|pair| pair == b"\r\n") {
                    Some(end) => break end,
                    None => self.fill().await?,
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.input[..end])?.trim(), 16)?;
            self.input.advance(end + 2);
            let chunk = self.take(size + 2).await?;
            if size == 0 {
                return Ok(body.freeze());
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
}

fn parse_head(input: &[u8]) -> Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(input)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let mut session = None;
    let mut framing = Framing::Length(0);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("mcp-session-id") {
            session = Some(std::str::from_utf8(header.value)?.to_owned());
        } else if header.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(std::str::from_utf8(header.value)?.parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        }
    }
    Ok(Some((length, Head { status, session, framing })))
}
