//! The contract as tests that any engine runs: `store_suite!(name, factory)`, where the factory returns something to
//! keep alive (a temporary folder) and the store.

use std::time::Duration;

use bytes::Bytes;
use sessiongate_protocol::StreamId;
use sessiongate_storage::{
    Acquired, Batch, CatalogueStore, CatalogueWrite, ControlBatch, ControlStore, Expect, ItemKind, Lease, NodeId,
    ObjectKey, ObjectWrite, Op, Replay, SessionKey, SessionStore, StoreError, StreamExtent, Timestamp,
};

/// Both halves of the contract.
pub trait Engine: SessionStore + CatalogueStore + ControlStore {}
impl<T: SessionStore + CatalogueStore + ControlStore> Engine for T {}

pub const STREAM: StreamId = StreamId(1);
pub const KIND: ItemKind = ItemKind(3);

macro_rules! store_suite {
    ($name:ident, $factory:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            store_suite!(@tests $factory;
                a_batch_is_written_whole, commits_are_ordered_by_call, old_leases_are_fenced,
                released_leases_are_fenced, a_refused_commit_changes_nothing, replay_answers, replay_is_bounded,
                big_values_survive, values_shrink, trim_leaves_a_mark, trim_beyond_the_end, streams_are_dropped,
                deletion_is_complete, deletion_covers_what_is_queued, a_deleted_session_takes_no_writes,
                expiry_is_ordered, the_list_is_paged, catalogues_and_metas, sessions_are_apart,
                objects_are_versioned, object_writes_are_atomic, objects_are_listed_in_pages
            );
        }
    };
    (@tests $factory:expr; $($test:ident),*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (_keep, store) = ($factory)();
                crate::suite::$test(&store).await;
            }
        )*
    };
}

pub fn key(number: u8) -> SessionKey {
    SessionKey([number; 16])
}

pub fn record(value: impl Into<Bytes>, expires: u64) -> Op {
    Op::PutRecord { value: value.into(), expires: Timestamp(expires) }
}

pub fn item(id: u64, value: impl Into<Bytes>) -> Op {
    Op::PutItem { kind: KIND, id, value: value.into() }
}

pub fn append(seq: u64, frame: impl Into<Bytes>) -> Op {
    Op::Append { stream: STREAM, seq, at: Timestamp(seq * 10), frame: frame.into() }
}

pub fn batch(ops: impl IntoIterator<Item = Op>) -> Batch {
    Batch { ops: ops.into_iter().collect() }
}

pub fn bytes(len: usize, seed: u8) -> Bytes {
    (0..len).map(|index| (index % 251) as u8 ^ seed).collect()
}

pub async fn lease(store: &dyn Engine, key: SessionKey) -> Lease {
    let node = NodeId("test".into());
    match store.acquire(key, &node, Duration::from_secs(30)).await.unwrap() {
        Acquired::Granted(lease) => lease,
        held => panic!("{held:?}"),
    }
}

async fn events(store: &dyn Engine, key: SessionKey, after: u64) -> Vec<(u64, Bytes)> {
    match store.replay(key, STREAM, after, 1000).await.unwrap() {
        Replay::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

fn fenced(outcome: Result<(), StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Fenced))
}

pub async fn a_batch_is_written_whole(store: &dyn Engine) {
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    let lease = lease(store, key(1)).await;
    let ops = [record("r", 50), item(2, "two"), item(1, "one"), append(1, "first"), append(2, "second")];
    store.commit(&lease, batch(ops)).await.unwrap();
    let session = store.load(key(1)).await.unwrap().unwrap();
    assert_eq!(session.record, "r");
    assert_eq!(session.expires, Timestamp(50));
    assert_eq!(session.items, [(KIND, 1, "one".into()), (KIND, 2, "two".into())]);
    let extent = StreamExtent { stream: STREAM, first: 1, last: 2, bytes: 11, last_at: Timestamp(20) };
    assert_eq!(session.streams, [extent]);
    store
        .commit(&lease, batch([Op::DeleteItem { kind: KIND, id: 2 }, Op::DeleteItem { kind: KIND, id: 9 }]))
        .await
        .unwrap();
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().items, [(KIND, 1, "one".into())]);
    store.commit(&lease, Batch::default()).await.unwrap();
}

pub async fn commits_are_ordered_by_call(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let mut waiting = Vec::new();
    for number in 0..500u64 {
        let ops = [record(number.to_string(), 50), append(number + 1, number.to_string())];
        let future = store.commit(&lease, batch(ops));
        // A future that is never polled still writes.
        if number % 7 == 0 { drop(future) } else { waiting.push(future) }
    }
    // Polled in the wrong order.
    for future in waiting.into_iter().rev() {
        future.await.unwrap();
    }
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().record, "499");
    assert_eq!(events(store, key(1), 0).await.len(), 500);
}

pub async fn old_leases_are_fenced(store: &dyn Engine) {
    let old = lease(store, key(1)).await;
    store.commit(&old, batch([record("old", 50)])).await.unwrap();
    let new = lease(store, key(1)).await;
    assert!(new.fence > old.fence);
    assert!(fenced(store.commit(&old, batch([record("late", 60), append(1, "late")])).await));
    assert!(fenced(store.renew(&old, Duration::from_secs(1)).await));
    // Giving back what was taken over takes nothing from the new owner.
    store.release(old).await.unwrap();
    store.renew(&new, Duration::from_secs(1)).await.unwrap();
    let session = store.load(key(1)).await.unwrap().unwrap();
    assert_eq!((session.record, session.streams.len()), ("old".into(), 0));
    assert!(store.expired(Timestamp(55), 10).await.unwrap() == [key(1)]);
    store.commit(&new, batch([record("new", 50)])).await.unwrap();
}

pub async fn released_leases_are_fenced(store: &dyn Engine) {
    let first = lease(store, key(1)).await;
    let last = store.commit(&first, batch([record("kept", 50)]));
    store.release(first.clone()).await.unwrap();
    last.await.unwrap();
    assert!(fenced(store.commit(&first, batch([record("late", 60)])).await));
    let second = lease(store, key(1)).await;
    assert!(second.fence > first.fence);
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().record, "kept");
}

pub async fn a_refused_commit_changes_nothing(store: &dyn Engine) {
    let lease_1 = lease(store, key(1)).await;
    let lease_2 = lease(store, key(2)).await;
    let _newer = lease(store, key(1)).await;
    let refused = store.commit(&lease_1, batch([record("x", 1), item(1, "x")]));
    let taken = store.commit(&lease_2, batch([record("y", 2)]));
    assert!(fenced(refused.await));
    taken.await.unwrap();
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    assert_eq!(store.expired(Timestamp(10), 10).await.unwrap(), [key(2)]);
}

pub async fn replay_answers(store: &dyn Engine) {
    assert_eq!(store.replay(key(1), STREAM, 0, 10).await.unwrap(), Replay::Unknown);
    let lease = lease(store, key(1)).await;
    let other = Op::Append { stream: StreamId(2), seq: 1, at: Timestamp(1), frame: "other".into() };
    store.commit(&lease, batch((1..=5).map(|seq| append(seq, seq.to_string())).chain([other]))).await.unwrap();
    assert_eq!(store.replay(key(1), StreamId(3), 0, 10).await.unwrap(), Replay::Unknown);
    assert_eq!(events(store, key(1), 3).await, [(4, "4".into()), (5, "5".into())]);
    assert_eq!(events(store, key(1), 5).await, []);
    assert_eq!(events(store, key(1), u64::MAX).await, []);
    let limited = store.replay(key(1), STREAM, 0, 2).await.unwrap();
    assert_eq!(limited, Replay::Events(vec![(1, "1".into()), (2, "2".into())]));
    assert_eq!(store.replay(key(1), STREAM, 0, 0).await.unwrap(), Replay::Events(vec![]));
}

pub async fn replay_is_bounded(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let sizes = [2 << 20, 600 << 10, 400 << 10, 100 << 10];
    for (seq, size) in (1..).zip(sizes) {
        store.commit(&lease, batch([append(seq, bytes(size, 1))])).await.unwrap();
    }
    // The first is over the limit alone; the next two stay below it.
    let lens = |events: Vec<(u64, Bytes)>| events.iter().map(|(_, frame)| frame.len()).collect::<Vec<_>>();
    assert_eq!(lens(events(store, key(1), 0).await), sizes[..1]);
    assert_eq!(lens(events(store, key(1), 1).await), sizes[1..3]);
}

pub async fn big_values_survive(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let sizes = [0, 1, 4082, 4083, 4084, 4096, 8192, 24 << 10, 1 << 20];
    for (seq, size) in (1..).zip(sizes) {
        store.commit(&lease, batch([append(seq, bytes(size, 7)), item(seq, bytes(size, 9))])).await.unwrap();
        let Replay::Events(read) = store.replay(key(1), STREAM, seq - 1, 1).await.unwrap() else { panic!() };
        assert_eq!(read, [(seq, bytes(size, 7))]);
    }
    store.commit(&lease, batch([record(bytes(100_000, 3), 5)])).await.unwrap();
    let session = store.load(key(1)).await.unwrap().unwrap();
    assert_eq!(session.record, bytes(100_000, 3));
    assert_eq!(session.streams[0].bytes, sizes.iter().sum::<usize>() as u64);
    for ((_, _, value), size) in session.items.iter().zip(sizes) {
        assert_eq!(*value, bytes(size, 9));
    }
    assert_eq!(store.list(None, 10).await.unwrap().len(), 1);
}

pub async fn values_shrink(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    for size in [50_000, 9000, 3, 20_000, 0] {
        store.commit(&lease, batch([record(bytes(size, 1), 5), item(1, bytes(size, 2))])).await.unwrap();
        let session = store.load(key(1)).await.unwrap().unwrap();
        assert_eq!(session.record, bytes(size, 1));
        assert_eq!(session.items, [(KIND, 1, bytes(size, 2))]);
    }
}

pub async fn trim_leaves_a_mark(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let through = |through| Op::Trim { stream: STREAM, through };
    store.commit(&lease, batch((1..=10).map(|seq| append(seq, bytes(10_000, seq as u8))))).await.unwrap();
    store.commit(&lease, batch([through(4)])).await.unwrap();
    assert_eq!(store.replay(key(1), STREAM, 3, 10).await.unwrap(), Replay::Trimmed { first: 5 });
    assert_eq!(events(store, key(1), 4).await.len(), 6);
    // Everything: the stream is still known, and what is asked from its end on is not lost.
    store.commit(&lease, batch([through(10), through(2)])).await.unwrap();
    assert_eq!(store.replay(key(1), STREAM, 9, 10).await.unwrap(), Replay::Trimmed { first: 11 });
    assert_eq!(events(store, key(1), 10).await, []);
    store.commit(&lease, batch([append(11, "next")])).await.unwrap();
    assert_eq!(events(store, key(1), 10).await, [(11, "next".into())]);
    assert_eq!(store.replay(key(1), STREAM, 0, 10).await.unwrap(), Replay::Trimmed { first: 11 });
}

pub async fn trim_beyond_the_end(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let all = Op::Trim { stream: STREAM, through: u64::MAX };
    // Nothing to trim leaves nothing behind.
    store.commit(&lease, batch([all.clone()])).await.unwrap();
    assert_eq!(store.replay(key(1), STREAM, 0, 10).await.unwrap(), Replay::Unknown);
    // In one batch with what it trims.
    store.commit(&lease, batch([append(1, "a"), append(2, "b"), all, append(3, "c")])).await.unwrap();
    assert_eq!(events(store, key(1), 2).await, [(3, "c".into())]);
    assert_eq!(store.replay(key(1), STREAM, 1, 10).await.unwrap(), Replay::Trimmed { first: 3 });
}

pub async fn streams_are_dropped(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let other = Op::Append { stream: StreamId(2), seq: 1, at: Timestamp(1), frame: "other".into() };
    let ops =
        [record("r", 5), append(1, bytes(9000, 1)), append(2, "b"), Op::Trim { stream: STREAM, through: 1 }, other];
    store.commit(&lease, batch(ops)).await.unwrap();
    store.commit(&lease, batch([Op::DropStream { stream: STREAM }])).await.unwrap();
    assert_eq!(store.replay(key(1), STREAM, 0, 10).await.unwrap(), Replay::Unknown);
    let streams = store.load(key(1)).await.unwrap().unwrap().streams;
    assert_eq!(streams.iter().map(|extent| extent.stream).collect::<Vec<_>>(), [StreamId(2)]);
}

pub async fn deletion_is_complete(store: &dyn Engine) {
    for number in [1, 2] {
        let lease = lease(store, key(number)).await;
        let ops = [record(bytes(9000, 1), 5), item(1, bytes(9000, 2)), append(1, bytes(9000, 3)), append(2, "b")];
        store.commit(&lease, batch(ops)).await.unwrap();
        store.commit(&lease, batch([Op::Trim { stream: STREAM, through: 1 }])).await.unwrap();
        match number {
            1 => store.commit(&lease, batch([Op::DeleteSession])).await.unwrap(),
            _ => store.delete(key(number)).await.unwrap(),
        }
        assert_eq!(store.load(key(number)).await.unwrap(), None);
        assert_eq!(store.replay(key(number), STREAM, 0, 10).await.unwrap(), Replay::Unknown);
    }
    assert_eq!(store.list(None, 10).await.unwrap(), []);
    assert_eq!(store.expired(Timestamp(u64::MAX), 10).await.unwrap(), []);
    // A session that comes again finds nothing of the earlier one.
    let lease = lease(store, key(1)).await;
    store.commit(&lease, batch([record("again", 7)])).await.unwrap();
    let session = store.load(key(1)).await.unwrap().unwrap();
    assert_eq!((session.record, session.items, session.streams), ("again".into(), vec![], vec![]));
    store.delete(key(9)).await.unwrap();
}

pub async fn deletion_covers_what_is_queued(store: &dyn Engine) {
    let lease = lease(store, key(1)).await;
    let first = store.commit(&lease, batch([record("r", 5), item(1, "i"), append(1, bytes(9000, 1))]));
    let second = store.commit(&lease, batch([append(2, "b"), Op::DeleteSession]));
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    assert_eq!(store.replay(key(1), STREAM, 0, 10).await.unwrap(), Replay::Unknown);
    assert_eq!(store.expired(Timestamp(u64::MAX), 10).await.unwrap(), []);
}

pub async fn a_deleted_session_takes_no_writes(store: &dyn Engine) {
    let owner = lease(store, key(1)).await;
    store.commit(&owner, batch([record("r", 5)])).await.unwrap();
    store.delete(key(1)).await.unwrap();
    // The owner did not know: nothing that nobody would ever remove is written.
    assert!(fenced(store.commit(&owner, batch([append(1, "late")])).await));
    let owner = lease(store, key(1)).await;
    store.commit(&owner, batch([Op::DeleteSession])).await.unwrap();
    assert!(fenced(store.commit(&owner, batch([append(1, "late")])).await));
    store.release(owner).await.unwrap();
    assert_eq!(store.replay(key(1), STREAM, 0, 10).await.unwrap(), Replay::Unknown);
}

pub async fn expiry_is_ordered(store: &dyn Engine) {
    for (number, expires) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
        let lease = lease(store, key(number)).await;
        store.commit(&lease, batch([record("r", 1), record("r", expires)])).await.unwrap();
    }
    assert_eq!(store.expired(Timestamp(99), 10).await.unwrap(), []);
    assert_eq!(store.expired(Timestamp(300), 10).await.unwrap(), [key(2), key(3), key(1)]);
    assert_eq!(store.expired(Timestamp(300), 2).await.unwrap(), [key(2), key(3)]);
    let lease = lease(store, key(2)).await;
    store.commit(&lease, batch([record("r", 350)])).await.unwrap();
    assert_eq!(store.expired(Timestamp(350), 10).await.unwrap(), [key(3), key(1), key(2)]);
}

pub async fn the_list_is_paged(store: &dyn Engine) {
    for number in [5, 1, 4, 2, 3, 255] {
        let lease = lease(store, key(number)).await;
        store.commit(&lease, batch([record(bytes(5000, number), number.into()), append(1, "e")])).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.key);
        for row in page {
            assert_eq!((row.record, row.expires), (bytes(5000, row.key.0[0]), Timestamp(row.key.0[0].into())));
            seen.push(row.key.0[0]);
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 255]);
}

pub async fn catalogues_and_metas(store: &dyn Engine) {
    assert_eq!(store.load_catalogue("shop", "cart").await.unwrap(), None);
    store.put_catalogue("shop", "cart", bytes(20_000, 1)).await.unwrap();
    store.put_catalogue("sho", "pcart", "other".into()).await.unwrap();
    assert_eq!(store.load_catalogue("shop", "cart").await.unwrap().unwrap(), bytes(20_000, 1));
    store.put_catalogue("shop", "cart", "small".into()).await.unwrap();
    assert_eq!(store.load_catalogue("shop", "cart").await.unwrap().unwrap(), "small");
    store.delete_catalogue("shop", "cart").await.unwrap();
    store.delete_catalogue("shop", "cart").await.unwrap();
    assert_eq!(store.load_catalogue("shop", "cart").await.unwrap(), None);
    assert_eq!(store.load_catalogue("sho", "pcart").await.unwrap().unwrap(), "other");
    assert_eq!(store.load_meta("seal").await.unwrap(), None);
    store.put_meta("seal", "key".into()).await.unwrap();
    assert_eq!(store.load_meta("seal").await.unwrap().unwrap(), "key");
    let long = "n".repeat(2000);
    assert!(matches!(store.put_meta(&long, "v".into()).await, Err(StoreError::Engine(_))));
}

pub async fn sessions_are_apart(store: &dyn Engine) {
    // Neighbours in key order, the last possible key among them.
    for number in [1, 2, 254, 255] {
        let lease = lease(store, key(number)).await;
        store
            .commit(&lease, batch([record("r", 5), item(1, [number].to_vec()), append(1, [number].to_vec())]))
            .await
            .unwrap();
    }
    store.delete(key(254)).await.unwrap();
    store.delete(key(1)).await.unwrap();
    for number in [2, 255] {
        let session = store.load(key(number)).await.unwrap().unwrap();
        assert_eq!(session.items, [(KIND, 1, vec![number].into())]);
        assert_eq!(events(store, key(number), 0).await, [(1, vec![number].into())]);
    }
}

pub async fn objects_are_versioned(store: &impl Engine) {
    let key = ObjectKey::top("gateway", "shop-0123456789");
    assert_eq!(store.load_object(&key).await.unwrap(), None);
    let first = store.write_objects(vec![ObjectWrite::create(key.clone(), "one")].into()).await.unwrap();
    let read = store.load_object(&key).await.unwrap().unwrap();
    assert_eq!((read.version, &read.value[..]), (first, &b"one"[..]));
    let twice = store.write_objects(vec![ObjectWrite::create(key.clone(), "again")].into()).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
    let second =
        store.write_objects(vec![ObjectWrite::update(key.clone(), first, vec![7; 20_000])].into()).await.unwrap();
    assert!(second > first);
    let stale = store.write_objects(vec![ObjectWrite::update(key.clone(), first, "late")].into()).await;
    assert!(matches!(stale, Err(StoreError::Conflict { .. })), "{stale:?}");
    assert_eq!(store.load_object(&key).await.unwrap().unwrap().value.len(), 20_000);
    let early = store.write_objects(vec![ObjectWrite::remove(key.clone(), Expect::Version(first))].into()).await;
    assert!(matches!(early, Err(StoreError::Conflict { .. })), "{early:?}");
    store.write_objects(vec![ObjectWrite::remove(key.clone(), Expect::Version(second))].into()).await.unwrap();
    assert_eq!(store.load_object(&key).await.unwrap(), None);
    let anew = store.write_objects(vec![ObjectWrite::create(key.clone(), "new")].into()).await.unwrap();
    assert!(anew > second, "a version comes back: {anew}");
}

pub async fn object_writes_are_atomic(store: &impl Engine) {
    let (one, two) = (ObjectKey::scoped("target", "shop", "a"), ObjectKey::scoped("target", "shop", "b"));
    let version = store.write_objects(vec![ObjectWrite::create(one.clone(), "1")].into()).await.unwrap();
    let catalogue = CatalogueWrite { gateway: "shop".into(), target: "b".into(), value: Some("tools".into()) };
    let refused = ControlBatch {
        objects: vec![ObjectWrite::update(one.clone(), version + 1, "late")],
        catalogues: vec![catalogue.clone()],
    };
    assert!(matches!(store.write_objects(refused).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.load_catalogue("shop", "b").await.unwrap(), None);
    let half = store
        .write_objects(
            vec![
                ObjectWrite::update(one.clone(), version, "changed"),
                ObjectWrite::create(two.clone(), "2"),
                ObjectWrite::create(one.clone(), "twice"),
            ]
            .into(),
        )
        .await;
    assert!(matches!(half, Err(StoreError::Conflict { .. })), "{half:?}");
    assert_eq!(&store.load_object(&one).await.unwrap().unwrap().value[..], b"1");
    assert_eq!(store.load_object(&two).await.unwrap(), None);
    let both = vec![ObjectWrite::remove(one.clone(), Expect::Version(version)), ObjectWrite::put(two.clone(), "2")];
    store.write_objects(ControlBatch { objects: both, catalogues: vec![catalogue.clone()] }).await.unwrap();
    assert_eq!(store.load_object(&one).await.unwrap(), None);
    assert_eq!(&store.load_object(&two).await.unwrap().unwrap().value[..], b"2");
    assert_eq!(&store.load_catalogue("shop", "b").await.unwrap().unwrap()[..], b"tools");
    let gone = ControlBatch { objects: Vec::new(), catalogues: vec![CatalogueWrite { value: None, ..catalogue }] };
    store.write_objects(gone).await.unwrap();
    assert_eq!(store.load_catalogue("shop", "b").await.unwrap(), None);
    let long = ObjectKey::top("gateway", &"x".repeat(2000));
    assert!(matches!(store.write_objects(vec![ObjectWrite::put(long, "v")].into()).await, Err(StoreError::Engine(_))));
}

pub async fn objects_are_listed_in_pages(store: &impl Engine) {
    let mut writes = Vec::new();
    for (scope, id) in [("a", "1"), ("a", "2"), ("b", "1"), ("bb", "1")] {
        writes.push(ObjectWrite::create(ObjectKey::scoped("target", scope, id), vec![1; 9000]));
    }
    writes.push(ObjectWrite::create(ObjectKey::top("targets", "other"), "another collection"));
    store.write_objects(writes.into()).await.unwrap();
    let all = store.list_objects("target", None, 10).await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|object| object.value.len() == 9000));
    let first = store.list_objects("target", None, 3).await.unwrap();
    let rest = store.list_objects("target", Some(&first[2].key), 3).await.unwrap();
    assert_eq!([first, rest].concat(), all);
    assert!(store.list_objects("nothing", None, 3).await.unwrap().is_empty());
}
