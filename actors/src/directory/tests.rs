use std::sync::atomic::AtomicUsize;

use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_protocol::{Message, Notification};
use sessiongate_storage::{Batch, ItemKind, MemoryStore, Op};
use tokio::sync::mpsc;

use super::*;
use crate::session::CallAnswer;
use crate::settings::{GatewaySettings, Listing, Naming, SessionSettings};

/// A gateway without targets, and its sessions.
struct World {
    store: Arc<MemoryStore>,
    directory: Arc<SessionDirectory>,
    gateway: Arc<Gateway>,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let settings = GatewaySettings {
            name: "g".into(),
            naming: Naming::Plain,
            listing: Listing::Default,
            pagination: true,
            exceptions: Default::default(),
            max_name_length: None,
            search: false,
            sessions: SessionSettings::default(),
        };
        let sealer = Arc::new(Sealer::new(Key::new(1, [7; 32]), Vec::new()).unwrap());
        let (wish, _) = mpsc::channel(1);
        Self {
            directory: SessionDirectory::new(store.clone(), NodeId("n".into()), 1000),
            gateway: Arc::new(Gateway::new(settings, store.clone(), sealer, wish)),
            store,
        }
    }

    async fn create(&self, principal: &Principal) -> (String, Arc<SessionHandle>) {
        let new = NewSession {
            revision: Revision::V2025_11_25,
            capabilities: RawJson::EMPTY_OBJECT,
            client_info: RawJson::EMPTY_OBJECT,
            max_name_length: None,
            via: None,
        };
        self.directory.create(&self.gateway, principal, new).await.unwrap()
    }

    async fn stored(&self) -> usize {
        self.store.list(None, 1000).await.unwrap().len()
    }
}

fn initialized() -> Notification {
    let message = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let Ok(Message::Notification(notification)) = Message::parse(&bytes::Bytes::from_static(message)) else { panic!() };
    notification
}

fn ping() -> sessiongate_protocol::Request {
    let message = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let Ok(Message::Request(request)) = Message::parse(&bytes::Bytes::from_static(message)) else { panic!() };
    request
}

fn answer() -> sessiongate_protocol::Response {
    let message = br#"{"jsonrpc":"2.0","id":"q","result":{}}"#;
    let Ok(Message::Response(response)) = Message::parse(&bytes::Bytes::from_static(message)) else { panic!() };
    response
}

#[test]
fn the_key_of_a_session_depends_on_gateway_principal_and_id() {
    let alice = Principal::named("api-key", "alice");
    let bob = Principal::named("api-key", "bob");
    let keys = [
        session_key("g", &alice, "x"),
        session_key("g", &bob, "x"),
        session_key("h", &alice, "x"),
        session_key("g", &alice, "y"),
        session_key("ga", &alice, "x"),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[at + 1..].contains(key));
    }
    assert_eq!(keys[0], session_key("g", &alice, "x"));
}

/// Everything that a door can ask of this session fails as [`SessionError::Left`].
async fn all_left(handle: &SessionHandle, first: impl Future) {
    let quiet = Duration::from_secs(5);
    let call = async { handle.request(ping(), true)?.answer(quiet).await };
    let (_, call, told, answered, attached, viewed, ended) = tokio::join!(
        first,
        call,
        handle.notification(initialized()),
        handle.response(answer()),
        handle.attach(None),
        handle.view(),
        handle.end(EndReason::Deleted),
    );
    assert!(matches!(call, Err(SessionError::Left)), "{call:?}");
    assert!(matches!(told, Err(SessionError::Left)), "{told:?}");
    assert!(matches!(answered, Err(SessionError::Left)), "{answered:?}");
    assert!(matches!(attached, Err(SessionError::Left)), "{attached:?}");
    assert!(matches!(viewed, Err(SessionError::Left)), "{viewed:?}");
    assert!(matches!(ended, Err(SessionError::Left)), "{ended:?}");
}

#[actix_rt::test]
async fn what_a_leaving_session_did_not_look_at_says_so() {
    let (world, alice) = (World::new(), Principal::named("k", "alice"));
    let (id, handle) = world.create(&alice).await;
    all_left(&handle, async { handle.shut_down().await.unwrap() }).await;
    all_left(&handle, async {}).await;
    // While it waits for the disk.
    let handle = world.directory.find(&world.gateway, &alice, &id).await.unwrap();
    all_left(&handle, async {
        let (told, stored) = tokio::join!(handle.notification(initialized()), handle.shut_down());
        told.unwrap();
        stored.unwrap();
    })
    .await;
    let handle = world.directory.find(&world.gateway, &alice, &id).await.unwrap();
    let answer = handle.request(ping(), true).unwrap().answer(Duration::from_secs(5)).await.unwrap();
    assert!(matches!(answer, CallAnswer::Json(_)), "{answer:?}");
    // One that ends says so as well; afterwards there is none.
    all_left(&handle, async { handle.end(EndReason::Deleted).await.unwrap() }).await;
    let gone = world.directory.find(&world.gateway, &alice, &id).await;
    assert!(matches!(gone, Err(SessionError::NotFound)));
    assert_eq!((world.stored().await, world.directory.count_all()), (0, 0));
}

#[actix_rt::test]
async fn sessions_of_a_principal_end_wherever_they_are() {
    let world = World::new();
    let (alice, bob) = (Principal::named("k", "alice"), Principal::named("k", "bob"));
    let mut handles = Vec::new();
    for _ in 0..300 {
        let (_, stored) = world.create(&alice).await;
        stored.shut_down().await.unwrap();
        let (_, live) = world.create(&bob).await;
        handles.push(live);
    }
    let (_, live) = world.create(&alice).await;
    let ends = |gateway: &str, principal: &str| gateway == "g" && principal == alice.as_str();
    assert!(world.directory.has_any_of(ends));
    let pages = AtomicUsize::new(0);
    let first = || pages.fetch_add(1, Ordering::Relaxed) == 0;
    let some = world.directory.end_all_of(EndReason::Administrator, ends, first).await.unwrap();
    assert!(0 < some && some < 301, "a newer walk stops this one: {some}");
    let rest = world.directory.end_all_of(EndReason::Administrator, ends, || true).await.unwrap();
    assert_eq!(some + rest, 301);
    assert!(!world.directory.has_any_of(ends));
    assert_eq!((world.stored().await, world.directory.count_all()), (300, 300));
    assert!(!live.is_alive());
    assert!(handles.iter().all(|handle| handle.is_alive()), "others go on");
    assert_eq!(world.directory.slots.all_live().len(), 300, "none was brought into memory");
}

#[actix_rt::test]
async fn a_session_does_not_come_back_while_it_is_ended() {
    let (world, alice) = (World::new(), Principal::named("k", "alice"));
    for _ in 0..50 {
        let (id, handle) = world.create(&alice).await;
        handle.shut_down().await.unwrap();
        let find = || world.directory.find(&world.gateway, &alice, &id);
        let end = world.directory.end(handle.key(), EndReason::Administrator);
        let (_, ended, _) = tokio::join!(find(), end, find());
        assert!(ended.unwrap());
        assert!(matches!(find().await, Err(SessionError::NotFound)));
        assert_eq!((world.stored().await, world.directory.count_all()), (0, 0));
    }
    let unknown = SessionKey([9; 16]);
    assert!(!world.directory.end(unknown, EndReason::Administrator).await.unwrap());
    assert!(world.directory.slots.is_empty(), "no slot stays behind");
}

#[actix_rt::test]
async fn sessions_whose_calls_are_over_their_time_come_back_unasked_but_not_all_at_once() {
    const MANY: u64 = 1500;
    let world = World::new();
    let (_, handle) = world.create(&Principal::named("k", "alice")).await;
    handle.shut_down().await.unwrap();
    let template = world.store.list(None, 1).await.unwrap().remove(0);
    let template: serde_json::Value = serde_json::from_slice(&template.record).unwrap();
    let now = clock::now();
    let (past, future) = (now.0 - 1, now.plus(Duration::from_secs(60)).0);
    let store = async |number: u64, wake_at: u64, call: Option<u64>| {
        let mut record = template.clone();
        record["wake_at"] = wake_at.into();
        let expires = now.plus(Duration::from_secs(600));
        let mut ops = vec![Op::PutRecord { value: record.to_string().into(), expires }];
        if let Some(deadline) = call {
            let call = serde_json::json!({
                "client_id": 1, "method": "tools/call", "name": "t", "kind": "Tool", "target": "ref", "downstream_id": 1,
                "stream": 1, "progress_token": null, "last_progress": null, "last_event": null, "started": 0,
                "deadline": deadline,
            });
            ops.push(Op::PutItem { kind: ItemKind(1), id: 1, value: call.to_string().into() });
        }
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let Acquired::Granted(lease) = world.store.acquire(SessionKey(key), &NodeId("n".into()), LEASE).await.unwrap()
        else {
            panic!()
        };
        world.store.commit(&lease, Batch { ops }).await.unwrap();
        world.store.release(lease).await.unwrap();
    };
    for number in 0..MANY {
        store(number, past, Some(past)).await;
    }
    // Their calls ended, or were followed by others, or are not due.
    store(MANY, past, None).await;
    store(MANY + 1, past, Some(future)).await;
    store(MANY + 2, future, Some(future)).await;

    let directory = SessionDirectory::new(world.store.clone(), NodeId("n".into()), 10_000);
    directory.take_over().await.unwrap();
    let nobody = directory.wake_due(|_| None);
    assert_eq!(nobody.await, 0, "a gateway that is not configured has no sessions");
    let directory = SessionDirectory::new(world.store.clone(), NodeId("n".into()), 10_000);
    directory.take_over().await.unwrap();
    let gateway = |name: &str| (name == "g").then(|| world.gateway.clone());
    let first = directory.wake_due(gateway).await as u64;
    assert!(0 < first && first < MANY, "{first}");
    assert_eq!(directory.wake_due(gateway).await as u64, MANY - first);
    assert_eq!(directory.wake_due(gateway).await, 0);
    assert_eq!(directory.slots.all_live().len() as u64, MANY, "the others stay where they are");
    // Noted anew, once, for when its call is over.
    assert_eq!(directory.wakes.len(), 2);
}
