//! Work that fails is taken up again.

use sessiongate_actors::clock;
use sessiongate_actors::directory::SessionDirectory;
use sessiongate_protocol::sealer::{Key, Sealer};
use sessiongate_storage::{ControlStore, MemoryStore, NodeId, ObjectWrite};
use tokio::time::Instant;

use super::*;
use crate::control::objects::Members;

const CONFIG: &str = "
listen: 127.0.0.1:0
data_dir: unused
control:
  listen: 127.0.0.1:0
  account: '123456789012'
  credentials: [{access_key_id: AKIDEXAMPLEEXAMPLE, secret_access_key: wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY}]
";
const GATEWAY: &str = "shop-0123456789";
const TARGET: &str = "0123456789";
/// Looks at a condition are so far apart: less than a retry.
const LOOK: Duration = Duration::from_millis(10);

struct World {
    store: Arc<MemoryStore>,
    tables: Arc<Tables>,
    queue: mpsc::Sender<Work>,
}

// === impl World ===

impl World {
    /// A worker at work, and a clock that jumps.
    async fn new() -> Self {
        let config = crate::config::parse("gateway.yaml", CONFIG, &|_| None).unwrap();
        let store = Arc::new(MemoryStore::new());
        let sealer = Arc::new(Sealer::new(Key::new(1, [7; 32]), Vec::new()).unwrap());
        let directory = SessionDirectory::new(store.clone(), NodeId("n".into()), 100);
        let healthy = Box::new(|| true);
        let runtime = Data::new(Runtime::new(directory, store.clone(), store.clone(), sealer, healthy, &config));
        runtime.apply(&config, "127.0.0.1:80".parse().unwrap()).await;
        let tables = Arc::new(Tables::load(store.clone()).await.unwrap());
        let account = Account { id: "123456789012".into(), region: "us-east-1".into() };
        let (queue, work) = mpsc::channel(QUEUE);
        actix_rt::spawn(Worker::new(tables.clone(), runtime, Quotas::default(), account).run(work));
        // Nothing is left over from an earlier process.
        tokio::task::yield_now().await;
        tokio::time::pause();
        Self { store, tables, queue }
    }

    /// Somebody else writes the one object of a collection: what memory has of it is old, and the next write fails.
    async fn write_behind(&self, collection: &str) {
        let row = self.store.list_objects(collection, None, 1).await.unwrap().remove(0);
        let write = ObjectWrite::update(row.key, row.version, row.value);
        self.store.write_objects(vec![write].into()).await.unwrap();
    }

    /// Sends work that fails three times; how long it takes until `is_ready`.
    async fn carried_out(
        &self,
        work: Work,
        collection: &str,
        version: impl Fn() -> u64,
        is_ready: impl Fn() -> bool,
    ) -> Duration {
        let (began, mut before) = (Instant::now(), version());
        self.write_behind(collection).await;
        self.queue.send(work).await.unwrap();
        for _ in 0..2 {
            // What failed has read the object again.
            until(|| version() != before).await;
            before = version();
            self.write_behind(collection).await;
        }
        until(is_ready).await;
        began.elapsed()
    }
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(LAST_RETRY, met).await.expect("it is tried again");
}

fn members(value: serde_json::Value) -> Members {
    value.as_object().unwrap().clone()
}

#[actix_rt::test]
async fn what_could_not_be_stored_is_tried_again_less_and_less_often() {
    let world = World::new().await;
    let tables = &world.tables;
    let object = GatewayObject {
        id: GATEWAY.into(),
        declared: None,
        input: members(json!({"name": "shop", "authorizerType": "NONE", "protocolType": "MCP"})),
        active: None,
        status: GatewayStatus::Creating,
        status_reasons: Vec::new(),
        created_at: clock::now(),
        updated_at: clock::now(),
        creation: None,
    };
    let writing = tables.lock().await;
    tables.create_gateway(&writing, object, "arn", Default::default()).await.unwrap();
    drop(writing);
    let row = || tables.gateway(GATEWAY).unwrap();
    let ready = || row().object.status == GatewayStatus::Ready;
    let work = Work::Gateway(GATEWAY.into());
    let took = world.carried_out(work, "gateway", || row().version, ready).await;
    // After 1, 2 and 4 seconds.
    assert_eq!(took.as_secs(), 7);
    assert!(row().object.active.is_some());

    let schema = json!([{"name": "echo", "inputSchema": {"type": "object"}}]).to_string();
    let server = json!({"endpoint": "https://target.example/mcp", "mcpToolSchema": {"inlinePayload": schema}});
    let object = TargetObject {
        gateway: GATEWAY.into(),
        id: TARGET.into(),
        declared: None,
        input: members(json!({"name": "t", "targetConfiguration": {"mcp": {"mcpServer": server}}})),
        active: None,
        active_tools: None,
        untried: true,
        status: TargetStatus::Creating,
        status_reasons: Vec::new(),
        created_at: clock::now(),
        updated_at: clock::now(),
        last_synchronized_at: None,
        creation: None,
    };
    let writing = tables.lock().await;
    tables.create_target(&writing, object).await.unwrap();
    drop(writing);
    let row = || tables.target(GATEWAY, TARGET).unwrap();
    let ready = || row().object.status == TargetStatus::Ready;
    let work = Work::Target(GATEWAY.into(), TARGET.into());
    let took = world.carried_out(work, "target", || row().version, ready).await;
    assert_eq!(took.as_secs(), 7);
    assert!(row().object.active_tools.is_some());
    // As it is stored, too.
    let stored = Tables::load(world.store.clone()).await.unwrap();
    assert_eq!(stored.target(GATEWAY, TARGET).unwrap().object.status, TargetStatus::Ready);
}
