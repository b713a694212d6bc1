//! What it costs to check a token: the same call at a gateway that asks for one and at one that asks nobody, of one process,
//! in turn.

use crate::Result;
use crate::connection::Connection;
use crate::drive::{self, Client, Work};
use crate::options::Options;
use crate::servers::Bench;
use crate::table::{Table, median};

/// A row for each number of sessions.
pub async fn run(bench: &Bench, options: &Options) -> Result<Table> {
    let gateway = bench.gateway("jwt").await?;
    let token = Connection::open(bench.upstream).await?.get("/token").await?.body;
    let token = std::str::from_utf8(&token)?;
    let mut table = Table::new(
        "Tokens (a JSON call with a JWT of 1 KB that was seen before, and without)",
        &["sessions", "per s, open", "per s, JWT", "CPU µs, open", "CPU µs, JWT", "CPU to open"],
    );
    for &sessions in &options.sessions {
        eprintln!("JWT, {sessions} sessions");
        let mut open = drive::open(gateway.address, sessions, Work::Json).await?;
        let mut guarded = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            guarded.push(Client::open_with(gateway.address, "/guarded", token).await?);
        }
        let (mut rates, mut costs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for round in 0..=options.rounds {
            for (at, clients) in [&mut open, &mut guarded].into_iter().enumerate() {
                let time = if round == 0 { options.warm_up } else { options.measured };
                let before = gateway.cpu_us()?;
                let calls = drive::drive(clients, Work::Json, time).await?.len().max(1) as f64;
                if round > 0 {
                    rates[at].push(calls / time.as_secs_f64());
                    costs[at].push((gateway.cpu_us()? - before) as f64 / calls);
                }
            }
        }
        // Of rounds that ran next to each other.
        let ratio = median(costs[1].iter().zip(&costs[0]).map(|(jwt, open)| jwt / open).collect());
        let [open_rate, jwt_rate] = rates.map(median);
        let [open_cost, jwt_cost] = costs.map(median);
        table.row(vec![
            sessions.to_string(),
            format!("{open_rate:.0}"),
            format!("{jwt_rate:.0}"),
            format!("{open_cost:.1}"),
            format!("{jwt_cost:.1}"),
            format!("{ratio:.3}"),
        ]);
    }
    Ok(table)
}
