//! `sessiongate sessions`

use std::path::Path;
use std::process::ExitCode;

use sessiongate_storage::SessionStore;
use sessiongate_storage::sled::{SledOptions, SledStore};

use super::{fail, print_json, print_table};
use crate::admin::{AdminClient, AdminError, Found, SessionLine, find, stored_page};
use crate::cli::OutputFormat;
use crate::cli::args::{SessionsArgs, SessionsCommand};

pub(super) async fn run(args: &SessionsArgs) -> ExitCode {
    let folder = &args.store.data_dir;
    let client = match AdminClient::connect(folder) {
        Ok(client) => Some(client),
        Err(AdminError::NotRunning) => None,
        Err(error) => return fail(1, &error),
    };
    match args.command.as_ref().unwrap_or(&SessionsCommand::List) {
        SessionsCommand::List => list(client, folder, args.output).await,
        SessionsCommand::End { key } => end(client, folder, key).await,
    }
}

async fn lines(client: Option<&AdminClient>, folder: &Path) -> Result<Vec<SessionLine>, String> {
    if let Some(client) = client {
        return client.sessions().await.map_err(|error| error.to_string());
    }
    let store = open(folder)?;
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = stored_page(&store, after).await.map_err(|error| error.to_string())?;
        lines.extend(page.iter().filter_map(SessionLine::stored));
        if next.is_none() {
            break;
        }
        after = next;
    }
    store.close().await.map_err(|error| error.to_string())?;
    Ok(lines)
}

fn open(folder: &Path) -> Result<SledStore, String> {
    let path = folder.join("store");
    if !path.exists() {
        return Err(format!("{} holds no sessions: it is not a data folder", folder.display()));
    }
    SledStore::open(&SledOptions::new(path)).map_err(|error| error.to_string())
}

async fn list(client: Option<AdminClient>, folder: &Path, output: OutputFormat) -> ExitCode {
    let lines = match lines(client.as_ref(), folder).await {
        Ok(lines) => lines,
        Err(error) => return fail(1, &error),
    };
    if output == OutputFormat::Json {
        return print_json(&lines);
    }
    let now = sessiongate_actors::clock::now().0;
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                line.key.clone(),
                line.gateway.clone(),
                line.principal.clone(),
                line.client.clone(),
                line.revision.clone(),
                if line.live { "live" } else { "stored" }.to_owned(),
                format!("{}m", line.expires.saturating_sub(now) / 60_000),
                line.calls.to_string(),
                line.pending_questions.to_string(),
                line.targets.join(","),
            ]
        })
        .collect();
    let head =
        ["KEY", "GATEWAY", "PRINCIPAL", "CLIENT", "REVISION", "STATE", "ENDS IN", "CALLS", "QUESTIONS", "TARGETS"];
    print_table(&head, &rows);
    ExitCode::SUCCESS
}

/// A key may be cut short where no other begins so.
async fn end(client: Option<AdminClient>, folder: &Path, beginning: &str) -> ExitCode {
    let ended = match client {
        Some(client) => client.end(beginning).await.map_err(|error| error.to_string()),
        None => end_stored(folder, beginning).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

async fn end_stored(folder: &Path, beginning: &str) -> Result<(), String> {
    let store = open(folder)?;
    let found = find(&store, beginning).await.map_err(|error| error.to_string())?;
    if let Found::One(key) = found {
        store.delete(key).await.map_err(|error| error.to_string())?;
    }
    store.close().await.map_err(|error| error.to_string())?;
    match found {
        Found::One(_) => Ok(()),
        Found::Nothing | Found::Several => Err(found.refusal(beginning)),
    }
}
