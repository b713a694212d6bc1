//! Opening the folder: one process at a time, a schema that we know, and a way on when the engine's files are damaged.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::sled::{Db, Mode};

use super::{SledOptions, keys, value};
use crate::store::StoreError;

/// The version of the layout of keys and values.
const SCHEMA: u64 = 1;
/// What is not awaited is on its way to the operating system after this long.
const FLUSH_EVERY_MS: u64 = 500;

/// How long the threads of a store that was closed may keep its file.
const REMAINS_DEADLINE: Duration = Duration::from_secs(10);
/// The count of openings, in a file of its own.
const BOOTS: &str = "boots";

/// An open folder.
pub(super) struct Opened {
    pub db: Db,
    /// sled's data file, for `fdatasync`.
    pub file: File,
    /// Held as long as the store lives.
    pub lock: File,
    /// Counts the openings; never the same twice.
    pub epoch: u64,
}

enum OpenError {
    /// Somebody has to do something about it.
    Fatal(StoreError),
    /// The engine's files are damaged.
    Corrupt(String),
}

/// Opens the folder. Damaged files are moved aside, since a session can be made again while a gateway that does not
/// start serves nobody.
pub(super) fn open(options: &SledOptions) -> Result<Opened, StoreError> {
    create_private(&options.path)?;
    let lock = lock(&options.path)?;
    let folder = options.path.join("sled");
    wait_for_remains(&folder)?;
    let (db, epoch) = match engine(&folder, options.cache_bytes) {
        Ok(opened) => opened,
        Err(OpenError::Fatal(error)) => return Err(error),
        Err(OpenError::Corrupt(why)) => {
            let aside = aside(&options.path);
            fs::rename(&folder, &aside).map_err(|error| io("the damaged store cannot be moved aside", &error))?;
            metrics::counter!("sessiongate_store_corruptions_total").increment(1);
            tracing::error!(why, moved_to = %aside.display(), "the store is damaged; starting with an empty one");
            engine(&folder, options.cache_bytes).map_err(|error| match error {
                OpenError::Fatal(error) => error,
                OpenError::Corrupt(why) => StoreError::Engine(why),
            })?
        }
    };
    let file = File::open(folder.join("db")).map_err(|error| io("the data file cannot be opened", &error))?;
    if options.durability == crate::model::Durability::Disk {
        // The names of the files, too, must survive a power cut.
        for folder in [&folder, &options.path] {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| io("the data folder cannot be synchronised", &error))?;
        }
    }
    Ok(Opened { db, file, lock, epoch })
}

fn engine(folder: &Path, cache_bytes: u64) -> Result<(Db, u64), OpenError> {
    create_private(folder).map_err(OpenError::Fatal)?;
    drop_unfinished_snapshots(folder);
    // sled asserts where it should report.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = ::sled::Config::new()
            .path(folder)
            .mode(Mode::LowSpace)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .open()?;
        let schema = db.get(keys::SCHEMA)?.and_then(|entry| number(&entry));
        let epoch = db.get(keys::EPOCH)?.and_then(|entry| number(&entry)).unwrap_or(0) + 1;
        Ok((db, schema, epoch))
    }));
    let (db, schema, epoch) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error @ (::sled::Error::Corruption { .. } | ::sled::Error::ReportableBug(_)))) => {
            return Err(OpenError::Corrupt(error.to_string()));
        }
        Ok(Err(error)) => return Err(OpenError::Fatal(super::engine(error))),
        Err(_) => return Err(OpenError::Corrupt("the engine panicked while it opened its files".into())),
    };
    if let Some(found) = schema.filter(|found| *found > SCHEMA) {
        return Err(OpenError::Fatal(StoreError::Engine(format!(
            "the data folder has schema {found}, written by a newer version; this version knows {SCHEMA}"
        ))));
    }
    // sled opens files of which nothing can be read as an empty tree, without a word. The boots are counted beside it,
    // so that an empty store is told from a lost one, and so that no fence is granted twice.
    let beside = fs::read_to_string(folder.join(BOOTS)).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if beside.is_some() && schema.is_none() {
        return Err(OpenError::Corrupt("the engine lost all entries".into()));
    }
    if beside.is_some_and(|beside| beside >= epoch) {
        tracing::error!("the store lost its newest entries, at least those since the last start");
        metrics::counter!("sessiongate_store_corruptions_total").increment(1);
    }
    let epoch = epoch.max(beside.unwrap_or(0).saturating_add(1));
    if epoch >> (64 - super::writer::FENCE_BITS) != 0 {
        return Err(OpenError::Fatal(StoreError::Engine("the boot epochs are used up: export and import".into())));
    }
    // Before the first lease is granted, the epoch that its fence is made of is kept.
    let kept = db
        .insert(keys::SCHEMA, entry(SCHEMA))
        .and_then(|_| db.insert(keys::EPOCH, entry(epoch)))
        .and_then(|_| db.flush());
    kept.map_err(|error| OpenError::Fatal(super::engine(error)))?;
    write_boots(folder, epoch).map_err(|error| OpenError::Fatal(io("the boots cannot be counted", &error)))?;
    Ok((db, epoch))
}

/// By way of a second file: a crash leaves the old count or the new one.
fn write_boots(folder: &Path, epoch: u64) -> std::io::Result<()> {
    let fresh = folder.join("boots.new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{epoch}")?;
    file.sync_all()?;
    fs::rename(fresh, folder.join(BOOTS))
}

fn create_private(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| io("the data folder cannot be created", &error))
}

/// The operating system gives the lock back when its holder dies, however that happens.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| io("the lock file cannot be opened", &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only a hint for the operator.
            let _ = (&file).take(20).read_to_string(&mut holder);
            let holder = match holder.trim().parse::<u32>() {
                Ok(id) => format!("process {id}"),
                Err(_) => "another process".to_owned(),
            };
            return Err(StoreError::Unavailable(format!(
                "{holder} has the data folder {} open; stop it, or choose another data_dir",
                folder.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(io("the lock file cannot be locked", &error)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .and_then(|()| file.flush());
    written.map_err(|error| io("the lock file cannot be written", &error))?;
    Ok(file)
}

/// sled's own threads may keep its file a moment longer than the store that was closed in this process. It is ours
/// already, so it is only a matter of waiting for the file.
fn wait_for_remains(folder: &Path) -> Result<(), StoreError> {
    let Ok(file) = File::open(folder.join("db")) else { return Ok(()) };
    if file.try_lock().is_ok() {
        return file.unlock().map_err(|error| io("the data file cannot be unlocked", &error));
    }
    let (done, waiting) = std::sync::mpsc::sync_channel(1);
    // A lock cannot be waited for with a deadline: this thread may outlive it.
    let waiter = std::thread::Builder::new().name("store-lock".into()).spawn(move || {
        let _ = done.send(file.lock().and_then(|()| file.unlock()));
    });
    waiter.map_err(|error| io("the data file cannot be waited for", &error))?;
    match waiting.recv_timeout(REMAINS_DEADLINE) {
        Ok(outcome) => outcome.map_err(|error| io("the data file cannot be locked", &error)),
        Err(_) => Err(StoreError::Unavailable("something still has the data file open".into())),
    }
}

/// A snapshot that a crash cut short; sled writes it anew, but some leftovers keep it from opening (sled#1527).
fn drop_unfinished_snapshots(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!(file = %name, "removing an unfinished snapshot of the store");
            if let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(%error, "the unfinished snapshot cannot be removed");
            }
        }
    }
}

fn aside(folder: &Path) -> std::path::PathBuf {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    folder.join(format!("corrupt-{millis}"))
}

fn entry(number: u64) -> Vec<u8> {
    [&[value::VERSION], &number.to_be_bytes()[..]].concat()
}

fn number(entry: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(entry.get(1..)?.try_into().ok()?))
}

fn io(what: &str, error: &std::io::Error) -> StoreError {
    StoreError::Engine(format!("{what}: {error}"))
}
