//! What an idle session costs: in memory while it is live, after it was passivated, after a restart, and on disk.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::drive::Client;
use crate::options::Options;
use crate::servers::{Bench, Gateway};
use crate::table::Table;

/// Sessions before the base line, so that what is made once is in it.
const FIRST: usize = 500;
/// Connections over which sessions are made.
const CONNECTIONS: usize = 32;
/// Sessions leave memory a minute after their last request; this is how long they have.
const PASSIVATION: Duration = Duration::from_secs(600);
const LIVE: &str = "sessiongate_sessions_live";
const KNOWN: &str = "sessiongate_sessions";

/// One row for each number of sessions.
pub async fn run(bench: &Bench, options: &Options) -> Result<Table> {
    let mut table = Table::new(
        "Idle sessions",
        &[
            "sessions",
            "made per s",
            "RSS of none, MiB",
            "RSS before, MiB",
            "live",
            "RSS live, MiB",
            "B a live session",
            "RSS passivated, MiB",
            "RSS after as many again, MiB",
            "B a passivated session",
            "RSS restarted, MiB",
            "B a session restarted",
            "B on disk",
        ],
    );
    for &count in &options.idle {
        eprintln!("memory, {count} sessions");
        table.row(measure(bench, count).await?);
    }
    Ok(table)
}

/// The heap does not go back to the kernel when sessions leave it, so what a passivated session holds is seen in what
/// a second wave of the same size, passivated too, adds; and in a process that starts with all of them stored.
async fn measure(bench: &Bench, count: usize) -> Result<Vec<String>> {
    let gateway = bench.gateway(&format!("idle-{count}")).await?;
    let fresh = gateway.rss()?;
    make(&gateway, FIRST).await?;
    until_none_is_live(&gateway).await?;
    let before = gateway.rss()?;
    let started = Instant::now();
    make(&gateway, count).await?;
    let rate = count as f64 / started.elapsed().as_secs_f64();
    let live = gateway.metric(LIVE).await?.unwrap_or(f64::NAN);
    let at_work = gateway.rss()?;
    until_none_is_live(&gateway).await?;
    let passivated = gateway.rss()?;
    make(&gateway, count).await?;
    until_none_is_live(&gateway).await?;
    let second = gateway.rss()?;
    let gateway = gateway.restart(bench).await?;
    let restarted = gateway.rss()?;
    let all = (2 * count + FIRST) as f64;
    let known = gateway.metric(KNOWN).await?.unwrap_or(f64::NAN);
    if known != all {
        return Err(format!("{known} sessions after the restart, not {all}").into());
    }
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
    let each = |bytes: u64, from: u64, of: f64| format!("{:.0}", (bytes as f64 - from as f64) / of);
    Ok(vec![
        count.to_string(),
        format!("{rate:.0}"),
        mib(fresh),
        mib(before),
        format!("{live:.0}"),
        mib(at_work),
        each(at_work, before, live),
        mib(passivated),
        mib(second),
        each(second, passivated, count as f64),
        mib(restarted),
        each(restarted, fresh, all),
        each(gateway.disk(), 0, all),
    ])
}

/// Makes sessions and leaves them alone.
async fn make(gateway: &Gateway, count: usize) -> Result<()> {
    let share = |at: usize| count / CONNECTIONS + usize::from(at < count % CONNECTIONS);
    try_join_all((0..CONNECTIONS).map(|at| async move {
        let mut client = Client::connect(gateway.address).await?;
        for _ in 0..share(at) {
            client.initialize().await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    }))
    .await?;
    Ok(())
}

async fn until_none_is_live(gateway: &Gateway) -> Result<()> {
    let deadline = Instant::now() + PASSIVATION;
    loop {
        let live = gateway.metric(LIVE).await?.unwrap_or(f64::NAN);
        if live == 0.0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{live} sessions are still in memory").into());
        }
        sleep(Duration::from_secs(1)).await;
    }
}
