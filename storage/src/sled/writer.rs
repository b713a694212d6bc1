//! The one thread that writes. It takes whatever is queued, applies it as one batch, makes it durable once, and then
//! answers in order: under load many commits share a flush, and an idle store does not make anybody wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Inner;
use super::keys;
use super::stage::Stage;
use crate::control::ControlBatch;
use crate::model::{Batch, Durability, Lease, Op, SessionKey};
use crate::store::StoreError;

const GROUP_JOBS: usize = 256;
const GROUP_BYTES: usize = 4 << 20;
/// The low bits of a fence count within one boot; the rest is the boot epoch.
pub(super) const FENCE_BITS: u32 = 40;

/// Where an outcome goes.
pub(super) enum Reply {
    Async(oneshot::Sender<Result<(), StoreError>>),
    /// For callers without a runtime (import).
    Sync(std::sync::mpsc::SyncSender<Result<(), StoreError>>),
    Nobody,
}

/// What an import restores.
pub(super) enum Row {
    Op(SessionKey, Op),
    Mark(SessionKey, sessiongate_protocol::StreamId, u64),
    Named(Vec<u8>, Bytes),
    /// Gets a new version.
    Object(Vec<u8>, Bytes),
}

/// What the writer is asked to do.
pub(super) enum Job {
    Acquire { key: SessionKey, reply: oneshot::Sender<Result<Lease, StoreError>> },
    Renew { lease: Lease, reply: Reply },
    Release { lease: Lease, reply: Reply },
    Commit { lease: Lease, batch: Batch, reply: Reply },
    Delete { key: SessionKey, reply: Reply },
    Put { key: Vec<u8>, value: Option<Bytes>, reply: Reply },
    Objects { batch: ControlBatch, reply: oneshot::Sender<Result<u64, StoreError>> },
    Restore { rows: Vec<Row>, reply: Reply },
    Quarantine { heads: Vec<Vec<u8>>, reply: Reply },
    DropStaleExpiries { entries: Vec<Vec<u8>> },
}

enum Done {
    Lease(oneshot::Sender<Result<Lease, StoreError>>, Result<Lease, StoreError>),
    Version(oneshot::Sender<Result<u64, StoreError>>, Result<u64, StoreError>),
    Unit(Reply, Result<(), StoreError>),
}

struct Writer {
    inner: Arc<Inner>,
    /// The newest fence of every lease that is held. What is not here was released, deleted, or granted by an earlier
    /// boot: fenced in any case, so that nothing has to be kept about it.
    leases: HashMap<SessionKey, u64>,
    next_fence: u64,
    last_fence: u64,
    /// Set when a batch was applied but perhaps not kept: what readers see is then more than what was promised, and
    /// only a restart, which reads what is really there, can end that.
    failed: Option<StoreError>,
}

/// Tells readiness when the writer ends before its time, by a panic of the engine.
struct Watch(Arc<Inner>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the writer of the store panicked; it takes no more writes until the restart");
            self.0.healthy.store(false, Ordering::Release);
        }
    }
}

/// Writes until every sender is gone, then makes all of it durable.
pub(super) fn run(inner: Arc<Inner>, mut jobs: mpsc::Receiver<Job>, epoch: u64) {
    let _watch = Watch(Arc::clone(&inner));
    let mut writer = Writer {
        leases: HashMap::new(),
        next_fence: (epoch << FENCE_BITS) + 1,
        last_fence: ((epoch + 1) << FENCE_BITS) - 1,
        failed: None,
        inner,
    };
    while let Some(first) = jobs.blocking_recv() {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            let Ok(job) = jobs.try_recv() else { break };
            bytes += job.bytes();
            group.push(job);
        }
        writer.inner.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        writer.group(group);
        // A burst of sessions must not hold memory for ever.
        if writer.leases.capacity() > 1024 && writer.leases.len() < writer.leases.capacity() / 8 {
            writer.leases.shrink_to(writer.leases.len() * 2);
        }
    }
    if let Err(error) = writer.inner.persist(true) {
        tracing::error!(%error, "the last flush of the store failed");
        writer.inner.healthy.store(false, Ordering::Release);
    }
}

// === impl Writer ===

impl Writer {
    fn group(&mut self, group: Vec<Job>) {
        let inner = Arc::clone(&self.inner);
        let size = group.len();
        let mut stage = Stage::new(&inner.db);
        let mut done: Vec<Done> = group.into_iter().map(|job| self.stage(&mut stage, job)).collect();
        if !stage.is_empty() && self.failed.is_none() {
            let started = Instant::now();
            if let Err(error) = inner.apply(stage.into_batch()) {
                tracing::error!(%error, "the store failed to write; it takes no more writes until the restart");
                inner.healthy.store(false, Ordering::Release);
                self.failed = Some(error);
            }
            metrics::histogram!("sessiongate_store_group_jobs")
                .record(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
            metrics::histogram!("sessiongate_store_group_seconds").record(started.elapsed().as_secs_f64());
        }
        if let Some(error) = &self.failed {
            done.iter_mut().for_each(|done| done.fail(error));
        }
        done.into_iter().for_each(Done::send);
    }

    fn stage(&mut self, stage: &mut Stage<'_>, job: Job) -> Done {
        match job {
            Job::Acquire { key, reply } => Done::Lease(reply, self.grant(key)),
            Job::Renew { lease, reply } => Done::Unit(reply, self.check(&lease)),
            Job::Release { lease, reply } => {
                if self.check(&lease).is_ok() {
                    self.leases.remove(&lease.key);
                }
                // A lease that was taken over is given back already.
                Done::Unit(reply, Ok(()))
            }
            Job::Commit { lease, batch, reply } => {
                let outcome = self.check(&lease).and_then(|()| {
                    let gone = stage.atomically(|stage| stage.batch(lease.key, &batch))?;
                    if gone {
                        self.leases.remove(&lease.key);
                    }
                    Ok(())
                });
                Done::Unit(reply, outcome)
            }
            Job::Delete { key, reply } => {
                let outcome = stage.atomically(|stage| stage.op(key, &Op::DeleteSession));
                if outcome.is_ok() {
                    self.leases.remove(&key);
                }
                Done::Unit(reply, outcome)
            }
            Job::Put { key, value, reply } => {
                let outcome = stage.atomically(|stage| match value {
                    Some(value) => stage.put(key, 0, &value),
                    None => stage.remove(&key),
                });
                Done::Unit(reply, outcome)
            }
            Job::Objects { batch, reply } => {
                let outcome = self.number().and_then(|version| {
                    stage.atomically(|stage| stage.objects(batch, version))?;
                    Ok(version)
                });
                Done::Version(reply, outcome)
            }
            Job::Restore { rows, reply } => {
                let version = match self.number() {
                    Ok(version) => version,
                    Err(error) => return Done::Unit(reply, Err(error)),
                };
                let outcome = stage.atomically(|stage| {
                    rows.into_iter().try_for_each(|row| match row {
                        Row::Op(key, op) => stage.op(key, &op),
                        Row::Mark(key, stream, through) => stage.mark(key, stream, through),
                        Row::Named(key, value) => stage.put(key, 0, &value),
                        Row::Object(key, value) => stage.put(key, version, &value),
                    })
                });
                Done::Unit(reply, outcome)
            }
            Job::Quarantine { heads, reply } => {
                let outcome = stage.atomically(|stage| {
                    heads.iter().try_for_each(|head| {
                        if stage.quarantine(head)? {
                            metrics::counter!("sessiongate_store_quarantined_total").increment(1);
                            tracing::error!(kind = %keys::kind(head), "a stored value cannot be read; it was put aside");
                        }
                        Ok(())
                    })
                });
                Done::Unit(reply, outcome)
            }
            Job::DropStaleExpiries { entries } => {
                let outcome =
                    stage.atomically(|stage| entries.iter().try_for_each(|entry| stage.drop_stale_expiry(entry)));
                Done::Unit(Reply::Nobody, outcome)
            }
        }
    }

    /// A number that is larger than any before, in this boot and in earlier ones.
    fn number(&mut self) -> Result<u64, StoreError> {
        if self.next_fence > self.last_fence {
            return Err(StoreError::Unavailable("the fences of this boot are used up: restart".into()));
        }
        let number = self.next_fence;
        self.next_fence += 1;
        Ok(number)
    }

    fn grant(&mut self, key: SessionKey) -> Result<Lease, StoreError> {
        let fence = self.number()?;
        self.leases.insert(key, fence);
        Ok(Lease { key, fence })
    }

    fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.leases.get(&lease.key) {
            Some(newest) if *newest == lease.fence => Ok(()),
            _ => Err(StoreError::Fenced),
        }
    }
}

// === impl Job ===

impl Job {
    /// Roughly what it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        64 + match self {
            Self::Commit { batch, .. } => batch.ops.iter().map(op_bytes).sum(),
            Self::Put { key, value, .. } => key.len() + value.as_ref().map_or(0, Bytes::len),
            Self::Objects { batch, .. } => batch.bytes(),
            Self::Restore { rows, .. } => rows.iter().map(Row::bytes).sum(),
            Self::Quarantine { heads: keys, .. } | Self::DropStaleExpiries { entries: keys } => {
                keys.iter().map(Vec::len).sum()
            }
            Self::Acquire { .. } | Self::Renew { .. } | Self::Release { .. } | Self::Delete { .. } => 0,
        }
    }
}

// === impl Row ===

impl Row {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Op(_, op) => op_bytes(op),
            Self::Mark(..) => 64,
            Self::Named(key, value) | Self::Object(key, value) => key.len() + value.len(),
        }
    }
}

// === impl Done ===

impl Done {
    /// The group was not kept: what looked good is not.
    fn fail(&mut self, error: &StoreError) {
        match self {
            Self::Lease(_, outcome) => *outcome = Err(error.clone()),
            Self::Version(_, outcome) if outcome.is_ok() => *outcome = Err(error.clone()),
            Self::Version(..) => {}
            Self::Unit(_, outcome) if outcome.is_ok() => *outcome = Err(error.clone()),
            Self::Unit(..) => {}
        }
    }

    /// Whoever no longer waits needs no answer.
    fn send(self) {
        match self {
            Self::Lease(reply, outcome) => drop(reply.send(outcome)),
            Self::Version(reply, outcome) => drop(reply.send(outcome)),
            Self::Unit(Reply::Async(reply), outcome) => drop(reply.send(outcome)),
            Self::Unit(Reply::Sync(reply), outcome) => drop(reply.send(outcome)),
            Self::Unit(Reply::Nobody, Err(error)) => tracing::warn!(%error, "the store could not tidy up"),
            Self::Unit(Reply::Nobody, Ok(())) => {}
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Readers wait until the batch is durable: nobody is shown what a crash could still take back.
    fn apply(&self, batch: ::sled::Batch) -> Result<(), StoreError> {
        let _gate = self.gate.write();
        self.db.apply_batch(batch).map_err(super::engine)?;
        self.persist(false)
    }

    /// Flushes as far as the durability asks; at the end (`closing`) always to the operating system.
    pub(super) fn persist(&self, closing: bool) -> Result<(), StoreError> {
        if self.durability != Durability::None || closing {
            self.db.flush().map_err(super::engine)?;
        }
        if self.durability == Durability::Disk {
            self.file.sync_data().map_err(|error| StoreError::Engine(error.to_string()))?;
        }
        Ok(())
    }
}

fn op_bytes(op: &Op) -> usize {
    64 + match op {
        Op::PutRecord { value, .. } | Op::PutItem { value, .. } => value.len(),
        Op::Append { frame, .. } => frame.len(),
        Op::DeleteItem { .. } | Op::Trim { .. } | Op::DropStream { .. } | Op::DeleteSession => 0,
    }
}
