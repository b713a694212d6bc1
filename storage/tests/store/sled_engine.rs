//! What only the embedded engine promises.

use std::fs;
use std::path::Path;

use sessiongate_storage::sled::{SledOptions, SledStore};
use sessiongate_storage::{CatalogueStore, Durability, Op, Replay, SessionStore, StoreError, Timestamp};
use tempfile::TempDir;

use crate::suite::{STREAM, append, batch, bytes, item, key, lease, record};

/// A store in a folder that goes with it.
pub fn temporary() -> (TempDir, SledStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    (folder, store)
}

fn open(folder: &Path) -> SledStore {
    SledStore::open(&SledOptions::new(folder)).unwrap()
}

/// Changes the engine's files behind its back.
fn tamper(folder: &Path, change: impl FnOnce(&::sled::Db)) {
    // sled's threads may have the file a moment longer than the store.
    let file = fs::File::open(folder.join("sled/db")).unwrap();
    file.lock().unwrap();
    file.unlock().unwrap();
    let db = ::sled::Config::new().path(folder.join("sled")).open().unwrap();
    change(&db);
    db.flush().unwrap();
}

fn event_key(number: u8, seq: u64) -> Vec<u8> {
    [&b"d"[..], &key(number).0, &[3], &STREAM.0.to_be_bytes(), &seq.to_be_bytes()].concat()
}

fn record_key(number: u8) -> Vec<u8> {
    [&b"s"[..], &key(number).0].concat()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    for durability in [Durability::None, Durability::ProcessCrash, Durability::Disk] {
        let folder = tempfile::tempdir().unwrap();
        let options = SledOptions { durability, ..SledOptions::new(folder.path().join("deep/er")) };
        let store = SledStore::open(&options).unwrap();
        let old = lease(&store, key(1)).await;
        let ops = [record("r", 5), item(1, bytes(9000, 1)), append(1, bytes(20_000, 2)), append(2, "b")];
        store.commit(&old, batch(ops)).await.unwrap();
        store.put_meta("seal", "key".into()).await.unwrap();
        let before = store.load(key(1)).await.unwrap();
        store.close().await.unwrap();
        let late = store.commit(&old, batch([record("late", 9)])).await;
        assert!(matches!(late, Err(StoreError::Unavailable(_))));
        store.close().await.unwrap();
        drop(store);
        let store = SledStore::open(&options).unwrap();
        assert_eq!(store.load(key(1)).await.unwrap(), before);
        assert_eq!(store.load_meta("seal").await.unwrap().unwrap(), "key");
        // A lease of an earlier boot is worth nothing, and the fences go on growing.
        assert!(matches!(store.commit(&old, batch([record("x", 9)])).await, Err(StoreError::Fenced)));
        assert!(lease(&store, key(1)).await.fence > old.fence);
        assert!(store.size_on_disk().await.unwrap() > 0);
    }
}

#[tokio::test]
async fn what_is_queued_is_written_when_the_store_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let lease = lease(&store, key(1)).await;
    for seq in 1..=300 {
        drop(store.commit(&lease, batch([record("r", 5), append(seq, "e")])));
    }
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().streams[0].last, 300);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let (_folder, store) = temporary();
    let lease = lease(&store, key(1)).await;
    let frame = bytes(8 << 20, 1);
    let answers: Vec<_> = (1..=40).map(|seq| store.commit(&lease, batch([append(seq, frame.clone())]))).collect();
    let mut refused = 0;
    for answer in answers {
        match answer.await {
            Ok(()) => {}
            Err(error) => {
                assert!(error.retryable(), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    store.commit(&lease, batch([record("after", 5)])).await.unwrap();
    let too_big = store.commit(&lease, batch([record("torn", 6), append(99, bytes((64 << 20) + 1, 1))])).await;
    assert!(matches!(too_big, Err(StoreError::Engine(_))));
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().record, "after");
}

#[tokio::test]
async fn the_folder_has_one_user() {
    let (folder, store) = temporary();
    let error = SledStore::open(&SledOptions::new(folder.path())).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    assert!(error.to_string().contains("data_dir"), "{error}");
    drop(store);
    open(folder.path());
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let _store = open(&folder);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn damaged_files_are_moved_aside() {
    let (folder, store) = temporary();
    let lease_1 = lease(&store, key(1)).await;
    for seq in 1..=200 {
        store.commit(&lease_1, batch([record("r", 5), append(seq, bytes(3000, 1))])).await.unwrap();
    }
    drop(store);
    let sled = folder.path().join("sled");
    let data = sled.join("db");
    let mut content = fs::read(&data).unwrap();
    for (index, byte) in content.iter_mut().enumerate() {
        *byte = byte.wrapping_mul(31).wrapping_add((index % 255) as u8) | 1;
    }
    fs::write(&data, content).unwrap();
    for entry in fs::read_dir(&sled).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
            fs::write(path, b"not a snapshot").unwrap();
        }
    }
    fs::write(sled.join("snap.0000000000000000.generating"), b"half").unwrap();
    let store = open(folder.path());
    let aside = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("corrupt-");
    let aside = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).find(|entry| aside(&entry.file_name()));
    assert!(aside.expect("moved aside").path().join("db").exists());
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    let lease_1 = lease(&store, key(1)).await;
    store.commit(&lease_1, batch([record("new", 5)])).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let (folder, store) = temporary();
    drop(store);
    tamper(folder.path(), |db| {
        db.insert("aschema", [&[1u8][..], &2u64.to_be_bytes()].concat()).unwrap();
    });
    let error = SledStore::open(&SledOptions::new(folder.path())).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test]
async fn unreadable_values_are_put_aside() {
    let (folder, store) = temporary();
    for number in [1, 2, 3] {
        let lease = lease(&store, key(number)).await;
        let events = (1..=5).map(|seq| append(seq, bytes(9000, 1)));
        store.commit(&lease, batch([record("r", 5), item(1, "i")].into_iter().chain(events))).await.unwrap();
    }
    store.put_meta("seal", "key".into()).await.unwrap();
    drop(store);
    tamper(folder.path(), |db| {
        db.insert(record_key(1), &[99u8, 1, 2][..]).unwrap();
        // A chunk of an event is missing, another event has a bad version.
        db.remove([&event_key(2, 3)[..], &1u32.to_be_bytes()].concat()).unwrap().unwrap();
        db.insert(event_key(3, 2), &[7u8; 20][..]).unwrap();
        db.insert([b"m", &4u16.to_be_bytes()[..], b"seal"].concat(), &[][..]).unwrap();
    });
    let store = open(folder.path());
    let unreadable = |error| matches!(error, StoreError::Unreadable(_));
    // A session whose record is lost is gone, with all that belongs to it.
    assert!(unreadable(store.load(key(1)).await.unwrap_err()));
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    assert_eq!(store.replay(key(1), STREAM, 0, 9).await.unwrap(), Replay::Unknown);
    // A lost event is never skipped.
    assert!(unreadable(store.replay(key(2), STREAM, 0, 9).await.unwrap_err()));
    assert_eq!(store.replay(key(2), STREAM, 2, 9).await.unwrap(), Replay::Trimmed { first: 4 });
    assert!(matches!(store.replay(key(2), STREAM, 3, 9).await.unwrap(), Replay::Events(events) if events.len() == 2));
    assert!(unreadable(store.load(key(3)).await.unwrap_err()));
    assert_eq!(store.load(key(3)).await.unwrap().unwrap().streams[0].first, 3);
    assert!(unreadable(store.load_meta("seal").await.unwrap_err()));
    assert_eq!(store.load_meta("seal").await.unwrap(), None);
    // The index entry of the lost record leads nowhere, and is not offered.
    assert_eq!(store.expired(Timestamp(9), 9).await.unwrap(), [key(2), key(3)]);
    assert_eq!(store.list(None, 9).await.unwrap().len(), 2);
    drop(store);
    tamper(folder.path(), |db| {
        assert!(db.get([b"q", &record_key(1)[..]].concat()).unwrap().is_some());
        assert_eq!(db.scan_prefix(b"x").count(), 2);
    });
}

#[tokio::test]
async fn nothing_is_left_of_sessions_that_came_and_went() {
    let (folder, store) = temporary();
    for number in 0..2000u32 {
        let mut id = [0u8; 16];
        id[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        let key = sessiongate_storage::SessionKey(id);
        let lease = lease(&store, key).await;
        let first = store.commit(&lease, batch([record("r", number.into()), item(1, bytes(500, 1))]));
        let ops = [append(1, bytes(5000, 2)), Op::Trim { stream: STREAM, through: 1 }, append(2, "e")];
        let second = store.commit(&lease, batch(ops));
        let third = store.commit(&lease, batch([Op::DeleteSession]));
        for answer in [first, second, third] {
            answer.await.unwrap();
        }
    }
    drop(store);
    // Only the engine's own two entries.
    tamper(folder.path(), |db| assert_eq!(db.len(), 2));
}

/// Wherever the file is hurt: the store opens, with what sled still finds or empty, and works.
#[tokio::test]
async fn damage_anywhere_never_keeps_the_store_from_opening() {
    let (folder, store) = temporary();
    for number in 0..100 {
        let lease = lease(&store, key(number)).await;
        for seq in 1..=10 {
            store.commit(&lease, batch([record("r", 5), append(seq, bytes(1000, 1))])).await.unwrap();
        }
    }
    drop(store);
    let good = fs::read(folder.path().join("sled/db")).unwrap();
    for round in 0..12 {
        let mut bad = good.clone();
        let at = (round * 1_037_389) % bad.len();
        match round % 3 {
            0 => bad.truncate(at),
            _ => bad[at..].iter_mut().take(64).for_each(|byte| *byte ^= 0x55),
        }
        let hurt = tempfile::tempdir().unwrap();
        fs::create_dir_all(hurt.path().join("sled/blobs")).unwrap();
        for name in ["boots", "conf"] {
            fs::copy(folder.path().join("sled").join(name), hurt.path().join("sled").join(name)).unwrap();
        }
        fs::write(hurt.path().join("sled/db"), bad).unwrap();
        let store = open(hurt.path());
        let found = store.list(None, 1000).await.unwrap().len();
        assert!(found <= 100);
        let owner = lease(&store, key(200)).await;
        store.commit(&owner, batch([record("new", 5)])).await.unwrap();
        assert_eq!(store.load(key(200)).await.unwrap().unwrap().record, "new");
        assert!(store.healthy());
    }
}

#[tokio::test]
async fn a_folder_can_be_opened_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=60u64 {
        let store = open(folder.path());
        let owner = lease(&store, key(1)).await;
        let commits: Vec<_> = (1..=20)
            .map(|number| {
                store.commit(&owner, batch([record("r", round), append(round * 100 + number, bytes(9000, 1))]))
            })
            .collect();
        drop(commits);
        drop(store);
    }
    let store = open(folder.path());
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().streams[0].last, 6020);
}

/// Figures, not a check: what many sessions that come and go leave on disk and in memory.
#[tokio::test]
#[ignore = "takes minutes; run it by name to see the figures"]
async fn churn_figures() {
    let (_folder, store) = temporary();
    let store = std::sync::Arc::new(store);
    for round in 1..=10u64 {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..50u64 {
            let store = store.clone();
            tasks.spawn(async move {
                for number in 0..400u64 {
                    let mut id = [0u8; 16];
                    let mixed = (round << 32 | task << 16 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    id[..8].copy_from_slice(&mixed.to_be_bytes());
                    let key = sessiongate_storage::SessionKey(id);
                    let owner = lease(&*store, key).await;
                    let ops = [record(bytes(400, 1), mixed), append(1, bytes(500, 2)), append(2, bytes(500, 3))];
                    store.commit(&owner, batch(ops)).await.unwrap();
                    store.commit(&owner, batch([item(1, bytes(300, 1)), append(3, bytes(500, 4))])).await.unwrap();
                    store.commit(&owner, batch([Op::DeleteSession])).await.unwrap();
                    store.release(owner).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
        println!("{} sessions: {} bytes on disk, {resident}", round * 20_000, store.size_on_disk().await.unwrap());
    }
}
