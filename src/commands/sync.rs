//! `sessiongate sync`

use std::process::ExitCode;

use super::{fail, print_json, print_table, remark_left_out};
use crate::admin::AdminClient;
use crate::cli::OutputFormat;
use crate::cli::args::SyncArgs;

pub(super) async fn run(args: &SyncArgs) -> ExitCode {
    let asked = async {
        AdminClient::connect(&args.store.data_dir)?.sync(args.gateway.as_deref(), args.target.as_deref()).await
    };
    let lines = match asked.await {
        Ok(lines) => lines,
        Err(error) => return fail(1, &error),
    };
    let failed = lines.iter().any(|line| !line.ok);
    for line in &lines {
        remark_left_out(&line.gateway, &line.target, &line.left_out);
    }
    if args.output == OutputFormat::Json {
        print_json(&lines);
    } else {
        let rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| {
                vec![
                    line.gateway.clone(),
                    line.target.clone(),
                    line.error.clone().unwrap_or_else(|| "ok".into()),
                    line.tools.to_string(),
                    line.prompts.to_string(),
                    line.resources.to_string(),
                    format!("{} ms", line.took_ms),
                ]
            })
            .collect();
        print_table(&["GATEWAY", "TARGET", "RESULT", "TOOLS", "PROMPTS", "RESOURCES", "TOOK"], &rows);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
