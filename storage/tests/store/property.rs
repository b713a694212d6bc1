//! Random histories: the engine that writes must say the same as the one that is simple.

use proptest::prelude::*;
use sessiongate_protocol::StreamId;
use sessiongate_storage::{Batch, ItemKind, Lease, MemoryStore, Op, Replay, SessionStore, StoreError, Timestamp};

use crate::sled_engine::temporary;
use crate::suite::{bytes, key, lease};

#[derive(Clone, Debug)]
enum Step {
    Commit(u8, Vec<Op>),
    /// With a lease that may be the newest, taken over, given back or gone.
    CommitOld(u8, Vec<Op>),
    Acquire(u8),
    Release(u8),
    Delete(u8),
    Replay(u8, u32, u64, usize),
    Expired(u64, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![3 => 0..50usize, 1 => 4000..9000usize].prop_map(|len| bytes(len, len as u8));
    let stream = (1..3u32).prop_map(StreamId);
    prop_oneof![
        3 => (value.clone(), 0..20u64)
            .prop_map(|(value, expires)| Op::PutRecord { value, expires: Timestamp(expires) }),
        3 => (0..3u64, value.clone()).prop_map(|(id, value)| Op::PutItem { kind: ItemKind(1), id, value }),
        1 => (0..3u64).prop_map(|id| Op::DeleteItem { kind: ItemKind(1), id }),
        6 => (stream.clone(), 1..30u64, value)
            .prop_map(|(stream, seq, frame)| Op::Append { stream, seq, at: Timestamp(seq), frame }),
        2 => (stream.clone(), 0..30u64).prop_map(|(stream, through)| Op::Trim { stream, through }),
        1 => stream.prop_map(|stream| Op::DropStream { stream }),
        1 => Just(Op::DeleteSession),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = || proptest::collection::vec(op(), 1..6);
    prop_oneof![
        8 => (0..3u8, ops()).prop_map(|(key, ops)| Step::Commit(key, ops)),
        2 => (0..3u8, ops()).prop_map(|(key, ops)| Step::CommitOld(key, ops)),
        1 => (0..3u8).prop_map(Step::Acquire),
        1 => (0..3u8).prop_map(Step::Release),
        1 => (0..3u8).prop_map(Step::Delete),
        3 => (0..3u8, 1..3u32, 0..30u64, 0..5usize).prop_map(|(key, s, after, limit)| Step::Replay(key, s, after, limit)),
        1 => (0..20u64, 0..4usize).prop_map(|(now, limit)| Step::Expired(now, limit)),
    ]
}

/// One engine with the leases that its callers have.
struct Player<S> {
    store: S,
    newest: [Option<Lease>; 3],
}

/// What can be compared between engines.
#[derive(Debug, PartialEq)]
enum Seen {
    Done,
    Fenced,
    Replay(Replay),
    Expired(Vec<u8>),
}

impl<S: crate::suite::Engine> Player<S> {
    async fn play(&mut self, step: Step) -> Seen {
        let seen = |outcome| match outcome {
            Ok(()) => Seen::Done,
            Err(StoreError::Fenced) => Seen::Fenced,
            Err(error) => panic!("{error}"),
        };
        match step {
            Step::Commit(number, ops) => {
                let lease = lease(&self.store, key(number)).await;
                self.newest[usize::from(number)] = Some(lease.clone());
                seen(self.store.commit(&lease, Batch { ops }).await)
            }
            Step::CommitOld(number, ops) => match self.newest[usize::from(number)].clone() {
                Some(lease) => seen(self.store.commit(&lease, Batch { ops }).await),
                None => Seen::Done,
            },
            Step::Acquire(number) => {
                // Taken over by somebody else: what we have is old now.
                lease(&self.store, key(number)).await;
                Seen::Done
            }
            Step::Release(number) => match self.newest[usize::from(number)].clone() {
                Some(lease) => seen(self.store.release(lease).await),
                None => Seen::Done,
            },
            Step::Delete(number) => seen(self.store.delete(key(number)).await),
            Step::Replay(number, stream, after, limit) => {
                Seen::Replay(self.store.replay(key(number), StreamId(stream), after, limit).await.unwrap())
            }
            Step::Expired(now, limit) => {
                let keys = self.store.expired(Timestamp(now), limit).await.unwrap();
                Seen::Expired(keys.iter().map(|key| key.0[0]).collect())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_and_memory_say_the_same(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = temporary();
            let mut sled = Player { store, newest: [None, None, None] };
            let mut memory = Player { store: MemoryStore::new(), newest: [None, None, None] };
            for step in steps {
                let context = format!("{step:?}");
                let (from_sled, from_memory) = (sled.play(step.clone()).await, memory.play(step).await);
                assert_eq!(from_sled, from_memory, "{context}");
                for number in 0..3 {
                    let (a, b) = (sled.store.load(key(number)).await, memory.store.load(key(number)).await);
                    assert_eq!(a.unwrap(), b.unwrap(), "{context}");
                }
            }
            assert_eq!(sled.store.list(None, 10).await.unwrap(), memory.store.list(None, 10).await.unwrap());
        });
    }
}
