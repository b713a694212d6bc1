//! `sessiongate export` and `sessiongate import-data`

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use sessiongate_storage::sled::{SledOptions, SledStore, export_ndjson, import_ndjson};

use super::fail;
use crate::cli::args::{ExportArgs, ImportDataArgs};

pub(super) async fn export(args: &ExportArgs) -> ExitCode {
    let done = async {
        let path = args.store.data_dir.join("store");
        if !path.exists() {
            return Err(format!("{} is not a data folder", args.store.data_dir.display()));
        }
        let store = SledStore::open(&SledOptions::new(path)).map_err(|error| error.to_string())?;
        let mut out: Box<dyn Write> = match &args.file {
            Some(file) => Box::new(BufWriter::new(File::create(file).map_err(|error| error.to_string())?)),
            None => Box::new(BufWriter::new(io::stdout())),
        };
        let lines = export_ndjson(&store, &mut out).map_err(|error| error.to_string())?;
        out.flush().map_err(|error| error.to_string())?;
        store.close().await.map_err(|error| error.to_string())?;
        Ok(lines)
    };
    report(done.await, "written")
}

pub(super) async fn import(args: &ImportDataArgs) -> ExitCode {
    let done = async {
        let store =
            SledStore::open(&SledOptions::new(args.store.data_dir.join("store"))).map_err(|error| error.to_string())?;
        let mut input: Box<dyn BufRead> = match &args.file {
            Some(file) => Box::new(BufReader::new(File::open(file).map_err(|error| error.to_string())?)),
            None => Box::new(BufReader::new(io::stdin())),
        };
        let lines = import_ndjson(&store, &mut input).map_err(|error| error.to_string())?;
        store.close().await.map_err(|error| error.to_string())?;
        Ok(lines)
    };
    report(done.await, "read")
}

fn report(done: Result<u64, String>, verb: &str) -> ExitCode {
    match done {
        Ok(lines) => {
            let _ = writeln!(io::stderr(), "{lines} lines {verb}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &error),
    }
}
