//! Rates, latencies and CPU of calls: direct, through nginx, through the gateway.

use std::net::SocketAddr;
use std::time::Instant;

use crate::Result;
use crate::drive::{self, Work};
use crate::options::{Options, Part};
use crate::servers::{Bench, Gateway};
use crate::table::{Table, median, quantile};

/// What a client reaches the upstream through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Nginx,
    Gateway,
}

/// One round.
struct Round {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// All rounds of a way, and their medians.
#[derive(Default)]
struct Rounds(Vec<Round>);

/// All cells in one table.
pub async fn run(bench: &Bench, options: &Options, parts: &[Part]) -> Result<Table> {
    let gateway = bench.gateway("calls").await?;
    let mut table = Table::new(
        "Calls",
        &[
            "work",
            "sessions",
            "through",
            "per s",
            "p50 ms",
            "p99 ms",
            "CPU µs",
            "rate to direct",
            "rate to nginx",
            "p50 less nginx's, ms",
            "CPU to nginx",
        ],
    );
    for work in parts.iter().flat_map(|part| part.work()).copied() {
        for &sessions in &options.sessions {
            eprintln!("{}, {sessions} sessions", work.label());
            let cell = cell(bench, &gateway, options, work, sessions).await?;
            add_rows(&mut table, work, sessions, &cell);
        }
    }
    Ok(table)
}

async fn cell(
    bench: &Bench,
    gateway: &Gateway,
    options: &Options,
    work: Work,
    sessions: usize,
) -> Result<Vec<(Way, Rounds)>> {
    let mut ways: Vec<(Way, SocketAddr)> = vec![(Way::Direct, bench.upstream)];
    ways.extend(bench.nginx.as_ref().map(|nginx| (Way::Nginx, nginx.address)));
    ways.push((Way::Gateway, gateway.address));
    let mut clients = Vec::new();
    for &(_, address) in &ways {
        let mut opened = drive::open(address, sessions, work).await?;
        drive::drive(&mut opened, work, options.warm_up).await?;
        clients.push(opened);
    }
    let mut rounds: Vec<(Way, Rounds)> = ways.iter().map(|(way, _)| (*way, Rounds::default())).collect();
    for _ in 0..options.rounds {
        // In turn, so that what else the machine does falls on all of them.
        for ((way, rounds), clients) in rounds.iter_mut().zip(&mut clients) {
            let cpu = || -> Result<u64> {
                match way {
                    Way::Direct => Ok(0),
                    Way::Nginx => bench.nginx.as_ref().map_or(Ok(0), |nginx| nginx.cpu_us()),
                    Way::Gateway => gateway.cpu_us(),
                }
            };
            let before = cpu()?;
            let started = Instant::now();
            let mut took = drive::drive(clients, work, options.measured).await?;
            let seconds = started.elapsed().as_secs_f64();
            let spent = cpu()? - before;
            took.sort_unstable();
            rounds.0.push(Round {
                rate: took.len() as f64 / seconds,
                p50_ms: quantile(&took, 0.5) as f64 / 1e6,
                p99_ms: quantile(&took, 0.99) as f64 / 1e6,
                cpu_us: spent as f64 / took.len().max(1) as f64,
            });
        }
    }
    Ok(rounds)
}

fn add_rows(table: &mut Table, work: Work, sessions: usize, cell: &[(Way, Rounds)]) {
    let of = |way: Way| cell.iter().find(|(other, _)| *other == way).map(|(_, rounds)| rounds);
    let direct = of(Way::Direct);
    let nginx = of(Way::Nginx);
    let number = |value: f64, digits: usize| format!("{value:.digits$}");
    let dash = || "–".to_owned();
    for (way, rounds) in cell {
        // Ratios of the rounds that ran next to each other, not of the medians.
        let ratio = |other: Option<&Rounds>, value: fn(&Round) -> f64, digits: usize| match other {
            Some(other) if !std::ptr::eq(other, rounds) => {
                let pairs = rounds.0.iter().zip(&other.0).map(|(mine, theirs)| value(mine) / value(theirs));
                number(median(pairs.collect()), digits)
            }
            _ => dash(),
        };
        let over = match nginx {
            Some(nginx) if *way == Way::Gateway => {
                let pairs = rounds.0.iter().zip(&nginx.0).map(|(mine, theirs)| mine.p50_ms - theirs.p50_ms);
                format!("{:+.3}", median(pairs.collect()))
            }
            _ => dash(),
        };
        table.row(vec![
            work.label().into(),
            sessions.to_string(),
            format!("{way:?}").to_lowercase(),
            number(rounds.median(|round| round.rate), 0),
            number(rounds.median(|round| round.p50_ms), 3),
            number(rounds.median(|round| round.p99_ms), 3),
            if *way == Way::Direct { dash() } else { number(rounds.median(|round| round.cpu_us), 0) },
            ratio(direct, |round| round.rate, 2),
            if *way == Way::Gateway { ratio(nginx, |round| round.rate, 2) } else { dash() },
            over,
            if *way == Way::Gateway { ratio(nginx, |round| round.cpu_us, 2) } else { dash() },
        ]);
    }
}

// === impl Rounds ===

impl Rounds {
    fn median(&self, value: fn(&Round) -> f64) -> f64 {
        median(self.0.iter().map(value).collect())
    }
}
