//! `sessiongate check`

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use sessiongate_actors::sync::{Bounds, fetch};
use sessiongate_protocol::{Era, Revision};
use sessiongate_targets::{LinkEvent, LinkSink, SinkClosed, Target, TargetError};

use super::{fail, issuers, print_json, print_table, remark_left_out};
use crate::cli::OutputFormat;
use crate::cli::args::CheckArgs;
use crate::config::{self, ConfigErrors};
use crate::gateway::targets_of;

/// The configuration is wrong.
const BAD_CONFIG: u8 = 2;

#[derive(Serialize)]
struct Line {
    gateway: String,
    target: String,
    ok: bool,
    error: Option<String>,
    era: Option<&'static str>,
    revision: Option<String>,
    transport: Option<String>,
    tools: usize,
    prompts: usize,
    resources: usize,
    /// What is listed and cannot be shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<Box<str>>,
    latency_ms: u64,
}

/// What is printed as JSON: one object for each target, and one for each gateway with an issuer.
#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Target(&'a Line),
    Issuer(&'a issuers::Line),
}

/// Nobody listens while a target is only looked at.
struct Nobody;

#[async_trait]
impl LinkSink for Nobody {
    async fn deliver(&self, _: LinkEvent) -> Result<(), SinkClosed> {
        Ok(())
    }
}

pub(super) async fn run(args: &CheckArgs) -> ExitCode {
    let config = match args.source.load() {
        Ok(config) => config,
        Err(errors) => return fail(BAD_CONFIG, &errors),
    };
    let unsigned = config::unsigned(&config, |name| std::env::var(name).ok());
    if !unsigned.is_empty() {
        return fail(BAD_CONFIG, &ConfigErrors(unsigned));
    }
    let remarks = config::advice(&config);
    for remark in &remarks {
        let _ = writeln!(std::io::stderr(), "remark: {remark}");
    }
    if args.offline {
        if args.output == OutputFormat::Human {
            let _ = writeln!(std::io::stdout(), "the configuration is good");
        }
        return ExitCode::SUCCESS;
    }
    let looks = targets_of(&config).into_iter().map(|(gateway, target)| look(gateway, target, args.timeout));
    let looks = futures_util::future::join_all(looks);
    let (lines, issuers): (Vec<Line>, _) = futures_util::join!(looks, issuers::look(&config, args.timeout));
    let failed = lines.iter().any(|line| !line.ok) || issuers.iter().any(|line| !line.ok);
    for line in &lines {
        remark_left_out(&line.gateway, &line.target, &line.left_out);
    }
    if args.output == OutputFormat::Json {
        let rows: Vec<Row<'_>> = lines.iter().map(Row::Target).chain(issuers.iter().map(Row::Issuer)).collect();
        print_json(&rows);
    } else {
        let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
        let head =
            ["GATEWAY", "TARGET", "RESULT", "ERA", "REVISION", "TRANSPORT", "TOOLS", "PROMPTS", "RESOURCES", "LATENCY"];
        print_table(&head, &rows);
        if !issuers.is_empty() {
            let _ = writeln!(std::io::stdout());
            print_table(&issuers::HEAD, &issuers.iter().map(issuers::Line::row).collect::<Vec<_>>());
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn row(line: &Line) -> Vec<String> {
    vec![
        line.gateway.clone(),
        line.target.clone(),
        line.error.clone().unwrap_or_else(|| "ok".into()),
        line.era.unwrap_or_default().to_owned(),
        line.revision.clone().unwrap_or_default(),
        line.transport.clone().unwrap_or_default(),
        line.tools.to_string(),
        line.prompts.to_string(),
        line.resources.to_string(),
        format!("{} ms", line.latency_ms),
    ]
}

fn era(revision: &str) -> Option<&'static str> {
    Revision::parse(revision).map(|revision| match revision.era() {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    })
}

/// `check` speaks to the operator, who may know why.
fn reason(error: &TargetError) -> String {
    match error.detail() {
        Some(detail) => format!("{error}: {detail}"),
        None => error.to_string(),
    }
}

async fn look(gateway: String, target: Arc<dyn Target>, limit: Duration) -> Line {
    let began = std::time::Instant::now();
    let found = match tokio::time::timeout(limit, fetch(&*target, Arc::new(Nobody), Bounds::default())).await {
        Ok(Ok((link, catalogue))) => {
            link.close().await;
            Ok(catalogue)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(TargetError::TimedOut(limit)),
    };
    let catalogue = found.as_ref().ok();
    Line {
        gateway,
        target: target.name().to_owned(),
        ok: found.is_ok(),
        error: found.as_ref().err().map(reason),
        era: catalogue.and_then(|catalogue| era(&catalogue.revision)),
        revision: catalogue.map(|catalogue| catalogue.revision.to_string()),
        transport: catalogue.map(|catalogue| catalogue.transport.to_string()),
        tools: catalogue.map_or(0, |catalogue| catalogue.tools.len()),
        prompts: catalogue.map_or(0, |catalogue| catalogue.prompts.len()),
        resources: catalogue.map_or(0, |catalogue| catalogue.resources.len() + catalogue.templates.len()),
        left_out: catalogue.map(|catalogue| catalogue.left_out.clone()).unwrap_or_default(),
        latency_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
