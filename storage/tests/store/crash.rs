//! `kill -9` while it writes: nothing that was acknowledged is lost, and no batch is there by half.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use sessiongate_protocol::StreamId;
use sessiongate_storage::sled::{SledOptions, SledStore};
use sessiongate_storage::{Batch, Durability, ItemKind, Op, Replay, SessionKey, SessionStore, Timestamp};

use crate::suite::{bytes, lease};

const FOLDER: &str = "STORE_CRASH_FOLDER";
const FIRST: &str = "STORE_CRASH_FIRST";
const DURABILITY: &str = "STORE_CRASH_DURABILITY";
const SESSIONS: u64 = 3;

/// Commit `number` of a session: the record and item say the number, and both streams get an event; every tenth
/// commit trims what is old.
fn commit(number: u64) -> Batch {
    let text = number.to_string();
    let streams = [1, 2].map(StreamId);
    let mut ops = vec![
        Op::PutRecord { value: text.clone().into(), expires: Timestamp(number) },
        Op::PutItem { kind: ItemKind(1), id: 0, value: text.into() },
    ];
    for stream in streams {
        ops.push(Op::Append { stream, seq: number, at: Timestamp(number), frame: frame(stream, number) });
        if number.is_multiple_of(10) {
            ops.push(Op::Trim { stream, through: number - 5 });
        }
    }
    Batch { ops }
}

/// Mostly small, since big frames push sled's buffer to the file by themselves and so hide a flush that is missing.
fn frame(stream: StreamId, number: u64) -> Bytes {
    let len = if stream.0 == 2 && number.is_multiple_of(40) { 20_000 } else { 20 };
    bytes(len, number as u8)
}

fn session(number: u64) -> SessionKey {
    SessionKey([(number % SESSIONS) as u8; 16])
}

fn open(folder: &Path, durability: Durability) -> SledStore {
    SledStore::open(&SledOptions { durability, ..SledOptions::new(folder) }).unwrap()
}

/// Not a test by itself: the process that is killed. It commits with many in flight and prints what is acknowledged.
#[test]
#[ignore = "run by the crash tests as a child process"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let durability =
        if std::env::var(DURABILITY).unwrap() == "disk" { Durability::Disk } else { Durability::ProcessCrash };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder), durability);
        let mut leases = Vec::new();
        for number in 0..SESSIONS {
            leases.push(lease(&store, session(number)).await);
        }
        let mut waiting = std::collections::VecDeque::new();
        for number in first.. {
            let lease = &leases[usize::try_from(number % SESSIONS).unwrap()];
            waiting.push_back((number, store.commit(lease, commit(number))));
            if waiting.len() >= 8 {
                let (number, answer) = waiting.pop_front().unwrap();
                answer.await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {number}").unwrap();
                out.flush().unwrap();
            }
        }
    });
}

/// Checks that the sessions hold whole commits only; returns the newest number of all.
async fn verify(store: &SledStore, acknowledged: &[u64]) -> u64 {
    let mut newest_of_all = 0;
    for index in 0..SESSIONS {
        let key = session(index);
        let stored = store.load(key).await.unwrap().unwrap();
        let newest: u64 = std::str::from_utf8(&stored.record).unwrap().parse().unwrap();
        let promised = acknowledged.iter().copied().filter(|number| number % SESSIONS == index).max();
        assert!(Some(newest) >= promised, "session {index}: {newest} is stored, {promised:?} was acknowledged");
        assert_eq!(stored.expires, Timestamp(newest));
        assert_eq!(stored.items, [(ItemKind(1), 0, newest.to_string().into())]);
        assert_eq!(stored.streams.len(), 2);
        assert_eq!((stored.streams[0].first, stored.streams[0].last), (stored.streams[1].first, newest));
        for extent in stored.streams {
            assert_eq!(extent.last, newest);
            let mut after = extent.first - 1;
            let mut expected = extent.first;
            while after < newest {
                let Replay::Events(events) = store.replay(key, extent.stream, after, 100).await.unwrap() else {
                    panic!("a hole");
                };
                for (seq, read) in events {
                    assert_eq!(seq, expected);
                    assert_eq!(read, frame(extent.stream, seq));
                    expected += SESSIONS;
                    after = seq;
                }
            }
        }
        newest_of_all = newest_of_all.max(newest);
    }
    newest_of_all
}

async fn cycles(durability: &str, level: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let mut first = 1;
    for cycle in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FIRST, first.to_string())
            .env(DURABILITY, durability)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let number = |line: String| line.rsplit_once("acknowledged ")?.1.trim().parse::<u64>().ok();
        let mut acknowledged: Vec<u64> =
            lines.by_ref().map(Result::unwrap).filter_map(number).take(40 + 37 * cycle).collect();
        assert_eq!(acknowledged.len(), 40 + 37 * cycle, "the child died by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it printed before it died counts too.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(number));
        let store = open(folder.path(), level);
        let newest = verify(&store, &acknowledged).await;
        // Which numbers of the other sessions are missing is not important; the next ones must be larger.
        first = newest.max(first) + 1;
        // All sessions go on from a common place, so that their events have no hole.
        for index in 0..SESSIONS {
            let key = session(index);
            let lease = lease(&store, key).await;
            let start = (first..).find(|number| number % SESSIONS == index).unwrap();
            let drop = [1, 2].map(|stream| Op::DropStream { stream: StreamId(stream) });
            let ops = drop.into_iter().chain(commit(start).ops).filter(|op| !matches!(op, Op::Trim { .. })).collect();
            store.commit(&lease, Batch { ops }).await.unwrap();
        }
        first += SESSIONS;
        store.close().await.unwrap();
    }
    assert!(
        !std::fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("corrupt") })
    );
}

#[tokio::test]
async fn killed_processes_lose_nothing_acknowledged() {
    cycles("process-crash", Durability::ProcessCrash).await;
}

#[tokio::test]
async fn killed_processes_lose_nothing_on_disk() {
    cycles("disk", Durability::Disk).await;
}
