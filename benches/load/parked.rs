//! Calls of one modern client that wait in a server with sessions for an answer: each holds a request to the target, its
//! place in a stored stream, and a question.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::connection::Connection;
use crate::options::Options;
use crate::servers::Bench;
use crate::table::Table;
use crate::{Result, procfs};

/// Connections over which calls are made.
const AT_ONCE: usize = 64;
/// Calls before the base line.
const FIRST: usize = 100;
/// How long the waiting calls are watched.
const IDLE: Duration = Duration::from_secs(10);

/// One row.
pub async fn run(bench: &Bench, options: &Options) -> Result<Table> {
    let count = options.parked;
    // A descriptor for each in the gateway and in the upstream, and some to spare.
    let limit = procfs::file_limit();
    if count as u64 + 1000 > limit {
        return Err(format!("{count} parked calls need more than {limit} open files").into());
    }
    eprintln!("parked, {count}");
    let gateway = bench.gateway("parked").await?;
    let first = park(gateway.address, FIRST).await?;
    let (before, disk, cpu) = (gateway.rss()?, gateway.disk(), gateway.cpu_us()?);
    let started = Instant::now();
    let waiting = park(gateway.address, count).await?;
    let parking = started.elapsed();
    let (rss, stored) = (gateway.rss()?, gateway.disk());
    let each = (gateway.cpu_us()? - cpu) as f64 / count as f64;
    let now = gateway.metric("sessiongate_questions_pending").await?.unwrap_or(f64::NAN);
    let cpu = gateway.cpu_us()?;
    sleep(IDLE).await;
    let idle = (gateway.cpu_us()? - cpu) as f64 / IDLE.as_secs_f64();
    let started = Instant::now();
    go_on(gateway.address, waiting).await?;
    let answering = started.elapsed();
    go_on(gateway.address, first).await?;
    let left = gateway.metric("sessiongate_questions_pending").await?.unwrap_or(f64::NAN);
    if left != 0.0 {
        return Err(format!("{left} questions still wait").into());
    }
    let mut table = Table::new(
        "Parked calls (one modern client, one target with sessions)",
        &[
            "parked calls",
            "parked per s",
            "CPU a call, µs",
            "waiting at once",
            "RSS before, MiB",
            "RSS, MiB",
            "KiB a parked call",
            "B on disk a parked call",
            "CPU of all waiting, ms/s",
            "answered per s",
        ],
    );
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
    table.row(vec![
        count.to_string(),
        format!("{:.0}", count as f64 / parking.as_secs_f64()),
        format!("{each:.0}"),
        format!("{:.0}", now - FIRST as f64),
        mib(before),
        mib(rss),
        format!("{:.1}", (rss as f64 - before as f64) / count as f64 / 1024.0),
        format!("{:.0}", (stored as f64 - disk as f64) / count as f64),
        format!("{:.1}", idle / 1000.0),
        format!("{:.0}", count as f64 / answering.as_secs_f64()),
    ]);
    Ok(table)
}

/// What is needed to go on with a call.
struct Parked {
    state: Value,
    key: String,
}

async fn park(address: SocketAddr, count: usize) -> Result<Vec<Parked>> {
    each(address, (0..count).collect(), async |connection, _| {
        let mut result = call(connection, json!({})).await?;
        let asked = result["inputRequests"].as_object().and_then(|asked| asked.keys().next());
        let key = asked.ok_or_else(|| format!("nothing is asked: {result}"))?.clone();
        Ok(Parked { state: result["requestState"].take(), key })
    })
    .await
}

async fn go_on(address: SocketAddr, waiting: Vec<Parked>) -> Result<()> {
    let done = each(address, waiting, async |connection, Parked { state, key }| {
        let answer = json!({"action": "accept", "content": {"name": "Ada"}});
        let result = call(connection, json!({"requestState": state, "inputResponses": {key: answer}})).await?;
        match result["isError"] == false {
            true => Ok(()),
            false => Err(format!("the call did not go on: {result}").into()),
        }
    });
    done.await.map(drop)
}

/// Spreads work over some connections.
async fn each<T, R>(
    address: SocketAddr,
    all: Vec<T>,
    work: impl AsyncFn(&mut Connection, T) -> Result<R>,
) -> Result<Vec<R>> {
    let mut shares: Vec<Vec<T>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    for (at, one) in all.into_iter().enumerate() {
        shares[at % AT_ONCE].push(one);
    }
    let work = &work;
    let done = stream::iter(shares).map(|share| async move {
        let mut connection = Connection::open(address).await?;
        let mut done = Vec::with_capacity(share.len());
        for one in share {
            done.push(work(&mut connection, one).await?);
        }
        Ok::<_, Box<dyn std::error::Error>>(done)
    });
    Ok(done.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// The result of a call of the tool that asks; `more` are further parameters.
async fn call(connection: &mut Connection, more: Value) -> Result<Value> {
    let mut params = json!({
        "name": "ask",
        "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            "io.modelcontextprotocol/clientInfo": {"name": "load-bench", "version": "1.0.0"},
        },
    });
    if let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) {
        params.extend(more);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let reply = connection.post_modern("tools/call", "ask", &body.to_string()).await?;
    let text = std::str::from_utf8(&reply.body)?;
    // An answer that comes at once is JSON; one that took a while is an event.
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or(text);
    let mut answer: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {} {text}", reply.status))?;
    match answer["result"].take() {
        Value::Null => Err(format!("no result: {text}").into()),
        result => Ok(result),
    }
}
