//! The embedded engine: sled, one tree, one writer thread, group commit.
//!
//! One process has the folder (a file lock), so a lease is always granted; its fence is made of the number of this
//! opening and a counter, and is larger than any before without a write for each.

mod control;
mod keys;
mod ndjson;
mod open;
mod read;
mod stage;
mod value;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ::sled::Db;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sessiongate_protocol::StreamId;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use self::ndjson::{NdjsonError, export_ndjson, import_ndjson};
use self::read::{ReadError, View};
use self::writer::{Job, Reply};
use crate::model::{
    Acquired, Batch, Durability, Lease, NodeId, Replay, SessionKey, SessionSummary, StoredSession, Timestamp,
};
use crate::store::{CatalogueStore, SessionStore, StoreError, check_names};

/// Jobs that may wait for the writer.
const QUEUE_JOBS: usize = 8192;
/// Bytes that may wait for the writer.
const QUEUE_BYTES: usize = 64 << 20;
/// Reads that may occupy threads of the blocking pool at once.
const READS: usize = 16;
/// How long a read may take, with its wait for a thread.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// How long [`SledStore::close`] waits for the writer.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

/// How to open a [`SledStore`].
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// The data folder; made with mode 0700 if it is not there.
    pub path: PathBuf,
    /// What a commit promises.
    pub durability: Durability,
    /// Size of sled's page cache, in bytes.
    pub cache_bytes: u64,
}

/// The embedded engine. See the module.
pub struct SledStore {
    inner: Arc<Inner>,
    /// Gone once the store is closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    reads: Arc<Semaphore>,
}

/// What the writer and the readers share. The fields are dropped in this order: the lock last.
struct Inner {
    db: Db,
    file: File,
    /// Readers share it; the writer has it from the first write of a batch until the batch is durable.
    gate: RwLock<()>,
    durability: Durability,
    queued_bytes: AtomicUsize,
    healthy: AtomicBool,
    _lock: File,
}

// === impl SledOptions ===

impl SledOptions {
    /// The defaults: [`Durability::ProcessCrash`] and a cache of 64 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), durability: Durability::default(), cache_bytes: 64 << 20 }
    }
}

// === impl SledStore ===

impl SledStore {
    /// Opens the folder, which no other process may have open. Blocks on the disk: call it before the runtime serves,
    /// or on a blocking thread.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when another process has the folder; [`StoreError::Engine`] when it cannot be made,
    /// locked or read, or was written by a newer version. Damaged files are no error: they are moved to
    /// `corrupt-<millis>` in the folder, and the store starts empty.
    pub fn open(options: &SledOptions) -> Result<Self, StoreError> {
        let opened = open::open(options)?;
        let inner = Arc::new(Inner {
            db: opened.db,
            file: opened.file,
            gate: RwLock::new(()),
            durability: options.durability,
            queued_bytes: AtomicUsize::new(0),
            healthy: AtomicBool::new(true),
            _lock: opened.lock,
        });
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS);
        let shared = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer::run(shared, queue, opened.epoch))
            .map_err(|error| StoreError::Engine(format!("the writer cannot be started: {error}")))?;
        Ok(Self {
            inner,
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            reads: Arc::new(Semaphore::new(READS)),
        })
    }

    /// Takes no more writes, performs those that wait, and flushes. Reads go on; the folder is free for another
    /// process when the store is dropped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the writer is not done within 30 s, [`StoreError::Engine`] when it failed.
    pub async fn close(&self) -> Result<(), StoreError> {
        drop(self.jobs.lock().take());
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(CLOSE_DEADLINE, joined).await {
            Ok(Ok(Ok(()))) if self.healthy() => Ok(()),
            Ok(_) => Err(StoreError::Engine("the writer failed".into())),
            Err(_) => Err(StoreError::Unavailable("the writer is still writing".into())),
        }
    }

    /// Whether writes can succeed: false after the disk refused one, until the store is opened anew.
    pub fn healthy(&self) -> bool {
        self.inner.healthy.load(Ordering::Acquire)
    }

    /// Bytes on disk. sled keeps a few times what is live and does not give it back.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when the files cannot be looked at.
    pub async fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.read(|view| view.0.size_on_disk().map_err(engine)).await?
    }

    /// Puts a job in the queue without waiting, so that the order of the calls is the order of the writes.
    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        let bytes = job.bytes();
        let queue = self.jobs.lock();
        let Some(queue) = queue.as_ref() else { return Err(StoreError::Unavailable("it is closed".into())) };
        let queued = self.inner.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        // One job of any size passes when nothing waits; its parts have limits of their own.
        let sent = if queued > 0 && queued + bytes > QUEUE_BYTES {
            Err("too many bytes wait to be written")
        } else {
            queue.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => "too many writes wait",
                mpsc::error::TrySendError::Closed(_) => "the writer has ended",
            })
        };
        sent.map_err(|why| {
            self.inner.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            metrics::counter!("sessiongate_store_refused_total").increment(1);
            StoreError::Unavailable(why.into())
        })
    }

    /// Enqueues at once; the future only waits for the answer. The writer answers every job or, if it dies, drops it:
    /// there is no timer here, since the outcome of a write that is given up on would be unknown.
    fn submit(
        &self,
        job: impl FnOnce(Reply) -> Job,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'static>> {
        let (reply, answer) = oneshot::channel();
        let queued = self.enqueue(job(Reply::Async(reply)));
        Box::pin(async move {
            queued?;
            answer.await.unwrap_or_else(|_| Err(StoreError::Engine("the writer has ended".into())))
        })
    }

    /// Runs a read on the blocking pool, under the gate.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(View<'_>) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (inner, reads) = (Arc::clone(&self.inner), Arc::clone(&self.reads));
        let run = async move {
            let permit = reads.acquire_owned().await.map_err(|_| StoreError::Unavailable("it is closed".into()))?;
            let read = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let _gate = inner.gate.read();
                work(View(&inner.db))
            });
            read.await.map_err(|_| StoreError::Engine("a read panicked".into()))
        };
        match tokio::time::timeout(READ_DEADLINE, run).await {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable("a read took too long".into())),
        }
    }

    /// Like [`Self::read`]; what cannot be read is put aside before the error is returned.
    async fn read_or_quarantine<T: Send + 'static>(
        &self,
        work: impl FnOnce(View<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.read(work).await? {
            Ok(value) => Ok(value),
            Err(ReadError::Store(error)) => Err(error),
            Err(ReadError::Damaged(heads)) => {
                let what = heads.first().map_or("value", |head| keys::kind(head));
                let error = StoreError::Unreadable(format!("a damaged {what} was put aside"));
                self.submit(|reply| Job::Quarantine { heads, reply }).await?;
                Err(error)
            }
        }
    }

    /// Tidies up after a listing; a full queue only means that the next listing does.
    fn tidy(&self, damaged: Vec<Vec<u8>>, stale: Vec<Vec<u8>>) {
        if !damaged.is_empty() {
            let _ = self.enqueue(Job::Quarantine { heads: damaged, reply: Reply::Nobody });
        }
        if !stale.is_empty() {
            let _ = self.enqueue(Job::DropStaleExpiries { entries: stale });
        }
    }

    async fn value(&self, key: Vec<u8>) -> Result<Option<Bytes>, StoreError> {
        self.read_or_quarantine(move |view| Ok(view.value(&key)?.map(|(_, value)| value))).await
    }
}

impl Drop for SledStore {
    /// Like [`Self::close`], but it blocks the thread while the writer finishes.
    fn drop(&mut self) {
        drop(self.jobs.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the store panicked");
        }
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("durability", &self.inner.durability).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for SledStore {
    async fn acquire(&self, key: SessionKey, _node: &NodeId, _ttl: Duration) -> Result<Acquired, StoreError> {
        // Through the queue: what an earlier owner enqueued is either written before the grant or fenced after it.
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job::Acquire { key, reply })?;
        let lease = answer.await.unwrap_or_else(|_| Err(StoreError::Engine("the writer has ended".into())))?;
        Ok(Acquired::Granted(lease))
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.submit(|reply| Job::Renew { lease, reply }).await
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.submit(|reply| Job::Release { lease, reply }).await
    }

    async fn load(&self, key: SessionKey) -> Result<Option<StoredSession>, StoreError> {
        self.read_or_quarantine(move |view| view.load(key)).await
    }

    fn commit(
        &self,
        lease: &Lease,
        batch: Batch,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'static>> {
        let lease = lease.clone();
        Box::pin(self.submit(|reply| Job::Commit { lease, batch, reply }))
    }

    async fn replay(&self, key: SessionKey, stream: StreamId, after: u64, limit: usize) -> Result<Replay, StoreError> {
        self.read_or_quarantine(move |view| view.replay(key, stream, after, limit)).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionKey>, StoreError> {
        let listing = self.read(move |view| view.expired(now, limit)).await??;
        self.tidy(listing.damaged, listing.stale);
        Ok(listing.rows)
    }

    async fn list(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<SessionSummary>, StoreError> {
        let listing = self.read(move |view| view.list(after, limit)).await??;
        self.tidy(listing.damaged, listing.stale);
        Ok(listing.rows)
    }

    async fn delete(&self, key: SessionKey) -> Result<(), StoreError> {
        self.submit(|reply| Job::Delete { key, reply }).await
    }
}

#[async_trait]
impl CatalogueStore for SledStore {
    async fn load_catalogue(&self, gateway: &str, target: &str) -> Result<Option<Bytes>, StoreError> {
        check_names(&[gateway, target])?;
        self.value(keys::catalogue(gateway, target)).await
    }

    async fn put_catalogue(&self, gateway: &str, target: &str, value: Bytes) -> Result<(), StoreError> {
        check_names(&[gateway, target])?;
        let key = keys::catalogue(gateway, target);
        self.submit(|reply| Job::Put { key, value: Some(value), reply }).await
    }

    async fn delete_catalogue(&self, gateway: &str, target: &str) -> Result<(), StoreError> {
        check_names(&[gateway, target])?;
        let key = keys::catalogue(gateway, target);
        self.submit(|reply| Job::Put { key, value: None, reply }).await
    }

    async fn load_meta(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        check_names(&[name])?;
        self.value(keys::meta(name)).await
    }

    async fn put_meta(&self, name: &str, value: Bytes) -> Result<(), StoreError> {
        check_names(&[name])?;
        let key = keys::meta(name);
        self.submit(|reply| Job::Put { key, value: Some(value), reply }).await
    }
}

fn engine(error: ::sled::Error) -> StoreError {
    StoreError::Engine(error.to_string())
}
