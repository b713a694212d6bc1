//! Whether the gateway grows while sessions come and go.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::Result;
use crate::drive::{Client, Work};
use crate::options::Options;
use crate::servers::Bench;
use crate::table::Table;

/// Sessions at once.
const CONNECTIONS: usize = 32;
/// Rows.
const SAMPLES: usize = 10;
/// Between two looks whether it is time for a sample.
const LOOK: Duration = Duration::from_millis(20);

/// Samples of memory and disk, and the slope over their second half.
pub async fn run(bench: &Bench, options: &Options) -> Result<Table> {
    let total = options.churn;
    eprintln!("growth, {total} sessions");
    let gateway = bench.gateway("growth").await?;
    let done = Cell::new(0usize);
    let begun = Cell::new(0usize);
    let clients = try_join_all((0..CONNECTIONS).map(|_| async {
        let mut client = Client::connect(gateway.address).await?;
        while begun.get() < total {
            begun.set(begun.get() + 1);
            client.once(Work::Churn).await?;
            done.set(done.get() + 1);
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    }));
    let watch = async {
        let mut samples = Vec::new();
        while samples.len() < SAMPLES {
            if done.get() >= total * (samples.len() + 1) / SAMPLES {
                samples.push((done.get(), gateway.rss()?, gateway.disk()));
            } else {
                sleep(LOOK).await;
            }
        }
        Ok::<_, Box<dyn std::error::Error>>(samples)
    };
    let (_, samples) = futures_util::future::try_join(clients, watch).await?;
    let slope = slope(&samples[SAMPLES / 2..]);
    let mut table = Table::new(
        &format!("Growth over {total} sessions: {slope:+.1} B of RSS a session in the second half"),
        &["sessions that came and went", "RSS, MiB", "disk, MiB"],
    );
    for (sessions, rss, disk) in samples {
        table.row(vec![
            sessions.to_string(),
            format!("{:.1}", rss as f64 / 1_048_576.0),
            format!("{:.1}", disk as f64 / 1_048_576.0),
        ]);
    }
    Ok(table)
}

/// Least squares, bytes a session.
fn slope(samples: &[(usize, u64, u64)]) -> f64 {
    let count = samples.len() as f64;
    let mean_x = samples.iter().map(|(x, _, _)| *x as f64).sum::<f64>() / count;
    let mean_y = samples.iter().map(|(_, y, _)| *y as f64).sum::<f64>() / count;
    let covariance: f64 = samples.iter().map(|(x, y, _)| (*x as f64 - mean_x) * (*y as f64 - mean_y)).sum();
    let variance: f64 = samples.iter().map(|(x, _, _)| (*x as f64 - mean_x).powi(2)).sum();
    covariance / variance
}
