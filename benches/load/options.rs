//! What is measured, and for how long.

use std::str::FromStr;
use std::time::Duration;

use crate::Result;
use crate::drive::Work;

/// A group of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Calls that are answered in JSON.
    Json,
    /// Calls between the eras: modern to modern, modern client to legacy target, legacy client to modern target.
    Eras,
    /// Calls with ten progress events.
    Sse,
    /// Whole sessions: initialize, initialized, one call, DELETE.
    Churn,
    /// Resident memory and disk of idle sessions.
    Memory,
    /// Open SSE streams.
    Streams,
    /// Calls that wait for their client.
    Parked,
    /// Resident memory while sessions come and go.
    Growth,
    /// What it costs to check a token.
    Jwt,
    /// Many gateways of a control plane, and long lists.
    Control,
}

/// Everything that can be set.
pub struct Options {
    /// What to measure.
    pub parts: Vec<Part>,
    /// `BENCH_SECONDS`: how long one round of one cell is measured, default 3.
    pub measured: Duration,
    /// `BENCH_WARM_UP`: seconds before the first round of each path, default 1.
    pub warm_up: Duration,
    /// `BENCH_ROUNDS`: rounds of each cell, in turn direct, nginx, gateway; default 3.
    pub rounds: usize,
    /// `BENCH_SESSIONS`: numbers of sessions that call at once, default `1,32,256`.
    pub sessions: Vec<usize>,
    /// `BENCH_IDLE`: numbers of idle sessions, default `10000`.
    pub idle: Vec<usize>,
    /// `BENCH_STREAMS`: open streams, default 2000.
    pub streams: usize,
    /// `BENCH_PARKED`: calls that wait at once, default 10000.
    pub parked: usize,
    /// `BENCH_CHURN`: sessions that come and go while growth is watched, default 20000.
    pub churn: usize,
    /// `BENCH_GATEWAYS`: gateways of the control plane, with 100 targets each, default 1000.
    pub gateways: usize,
    /// `BENCH_NGINX=0` leaves nginx out.
    pub nginx: bool,
    /// `BENCH_LOG`: the gateway's log level, default `info` as for users; the lines go to a file.
    pub log: String,
}

// === impl Part ===

impl Part {
    const ALL: [(&'static str, Self); 10] = [
        ("json", Self::Json),
        ("eras", Self::Eras),
        ("sse", Self::Sse),
        ("churn", Self::Churn),
        ("memory", Self::Memory),
        ("streams", Self::Streams),
        ("parked", Self::Parked),
        ("growth", Self::Growth),
        ("jwt", Self::Jwt),
        ("control", Self::Control),
    ];

    /// What a client does again and again, where the part is about that.
    pub fn work(self) -> &'static [Work] {
        match self {
            Self::Json => &[Work::Json],
            Self::Eras => &[Work::Modern, Work::Down, Work::Up],
            Self::Sse => &[Work::Sse],
            Self::Churn => &[Work::Churn],
            Self::Memory | Self::Streams | Self::Parked | Self::Growth | Self::Jwt | Self::Control => &[],
        }
    }
}

// === impl Options ===

impl Options {
    /// From the command line and the environment.
    pub fn read() -> Result<Self> {
        let mut parts = Vec::new();
        // cargo adds `--bench`.
        for name in std::env::args().skip(1).filter(|argument| argument != "--bench") {
            let known = Part::ALL.iter().find(|(known, _)| *known == name);
            parts.push(
                known
                    .ok_or_else(|| {
                        format!("unknown part `{name}`: json, eras, sse, churn, memory, streams, parked, growth, jwt, control")
                    })?
                    .1,
            );
        }
        if parts.is_empty() {
            parts = Part::ALL.iter().map(|(_, part)| *part).collect();
        }
        Ok(Self {
            parts,
            measured: Duration::from_secs_f64(variable("BENCH_SECONDS", 3.0)?),
            warm_up: Duration::from_secs_f64(variable("BENCH_WARM_UP", 1.0)?),
            rounds: variable("BENCH_ROUNDS", 3)?,
            sessions: list("BENCH_SESSIONS", "1,32,256")?,
            idle: list("BENCH_IDLE", "10000")?,
            streams: variable("BENCH_STREAMS", 2000)?,
            parked: variable("BENCH_PARKED", 10_000)?,
            churn: variable("BENCH_CHURN", 20_000)?,
            gateways: variable("BENCH_GATEWAYS", 1000)?,
            nginx: variable("BENCH_NGINX", 1u8)? != 0,
            log: variable("BENCH_LOG", "info".to_owned())?,
        })
    }

    /// One line under the machine's.
    pub fn describe(&self, nginx: bool) -> String {
        format!(
            "Each cell: {} rounds of {:?} after {:?} of warm-up, in turn {}; medians of the rounds. Gateway log level `{}`.",
            self.rounds,
            self.measured,
            self.warm_up,
            if nginx { "direct, nginx, gateway" } else { "direct, gateway" },
            self.log,
        )
    }
}

fn variable<T: FromStr<Err: std::fmt::Display>>(name: &str, default: T) -> Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}={text}: {error}").into()),
        Err(_) => Ok(default),
    }
}

fn list(name: &str, default: &str) -> Result<Vec<usize>> {
    let text = variable(name, default.to_owned())?;
    let numbers: std::result::Result<_, _> = text.split(',').map(|part| part.trim().parse()).collect();
    numbers.map_err(|error| format!("{name}={text}: {error}").into())
}
