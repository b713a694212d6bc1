//! Many SSE streams that are open at once and say nothing.

use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep, timeout};

use crate::drive::Client;
use crate::options::Options;
use crate::servers::Bench;
use crate::table::Table;
use crate::{Result, procfs};

/// Opened at once.
const AT_ONCE: usize = 64;
/// Streams before the base line.
const FIRST: usize = 100;
/// Longer than the keep-alive interval that the bench configures.
const KEEP_ALIVE_WAIT: Duration = Duration::from_secs(60);
/// How long the idle streams are watched.
const IDLE: Duration = Duration::from_secs(10);

/// One row.
pub async fn run(bench: &Bench, options: &Options) -> Result<Table> {
    let count = options.streams;
    // A descriptor here and one in the gateway for each, and some to spare.
    let limit = procfs::file_limit();
    if count as u64 + 1000 > limit {
        return Err(format!("{count} streams need more than {limit} open files").into());
    }
    eprintln!("streams, {count}");
    let gateway = bench.gateway("streams").await?;
    let open = |count: usize| {
        let address = gateway.address;
        stream::iter((0..count).map(move |_| async move {
            let mut client = Client::open(address).await?;
            client.listen().await?;
            Ok::<_, Box<dyn std::error::Error>>(client)
        }))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<Client>>()
    };
    let first = open(FIRST).await?;
    let before = gateway.rss()?;
    let started = Instant::now();
    let mut clients = open(count).await?;
    let opening = started.elapsed();
    let rss = gateway.rss()?;
    let heard = timeout(KEEP_ALIVE_WAIT, try_join_all(clients.iter_mut().map(|client| client.wait_for(b"\n: ")))).await;
    let heard = match heard {
        Ok(Ok(all)) => all.len().to_string(),
        Ok(Err(error)) => format!("not all: {error}"),
        Err(_) => "not all in a minute".into(),
    };
    let open_now = gateway.metric("sessiongate_streams_open").await?.unwrap_or(f64::NAN) - FIRST as f64;
    let cpu = gateway.cpu_us()?;
    sleep(IDLE).await;
    let idle = (gateway.cpu_us()? - cpu) as f64 / IDLE.as_secs_f64();
    drop(first);
    let mut table = Table::new(
        "Open SSE streams (one session and one connection each)",
        &[
            "streams",
            "opened per s",
            "open at once",
            "heard a keep-alive",
            "RSS before, MiB",
            "RSS, MiB",
            "KiB a stream",
            "CPU of all idle, ms/s",
        ],
    );
    table.row(vec![
        count.to_string(),
        format!("{:.0}", count as f64 / opening.as_secs_f64()),
        format!("{open_now:.0}"),
        heard,
        format!("{:.1}", before as f64 / 1_048_576.0),
        format!("{:.1}", rss as f64 / 1_048_576.0),
        format!("{:.1}", (rss as f64 - before as f64) / count as f64 / 1024.0),
        format!("{:.1}", idle / 1000.0),
    ]);
    Ok(table)
}
