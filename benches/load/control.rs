//! Many gateways of a control plane: how long a process takes that finds them in its store, and what a long list costs.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sessiongate_actors::catalogue::TargetCatalogue;
use sessiongate_protocol::RawJson;
use sessiongate_storage::sled::{SledOptions, SledStore};
use sessiongate_storage::{CatalogueWrite, ControlBatch, ControlStore, ObjectKey, ObjectWrite, Timestamp};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::options::Options;
use crate::process::Process;
use crate::table::{Table, quantile};
use crate::{Result, procfs};

/// Writes of one batch: objects come in pairs, and a commit takes 1024.
const BATCH: usize = 512;
/// Tools of each target where there are many gateways.
const FEW: usize = 3;

/// What a store holds.
#[derive(Clone, Copy)]
struct Shape {
    what: &'static str,
    gateways: usize,
    targets: usize,
    tools: usize,
    /// Tools are declared; else they were read from the target, and are stored apart.
    declared: bool,
    paged: bool,
}

/// A gateway that found all of it.
struct Loaded {
    process: Process,
    address: SocketAddr,
    took: Duration,
}

/// An answer to `tools/list`.
#[derive(Deserialize)]
struct Answer {
    result: Listed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    tools: Vec<IgnoredAny>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Starts, then lists.
pub async fn run(options: &Options) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let each = Shape { what: "", gateways: 1, targets: 100, tools: 100, declared: true, paged: true };
    let many = Shape { gateways: options.gateways, tools: FEW, ..each };
    let mut starts = Table::new(
        "Start of a process that finds gateways of the control plane in its store",
        &["gateways", "targets of each", "tools of each target", "ready after, s", "RSS, MiB", "disk, MiB"],
    );
    for shape in [
        Shape { what: "none", gateways: 0, ..many },
        Shape { what: "declared", ..many },
        Shape { what: "synchronised", declared: false, ..many },
    ] {
        let place = folder.path().join(shape.what);
        let loaded = load(&place, shape, options).await?;
        starts.row(vec![
            shape.gateways.to_string(),
            shape.targets.to_string(),
            format!("{} ({})", shape.tools, shape.what),
            format!("{:.2}", loaded.took.as_secs_f64()),
            format!("{:.0}", procfs::rss(loaded.process.pid())? as f64 / 1_048_576.0),
            format!("{:.0}", procfs::disk(&place.join("data")) as f64 / 1_048_576.0),
        ]);
        loaded.process.stop().await?;
    }
    let mut lists = Table::new(
        "tools/list of a gateway with 100 targets of 100 tools each, from the catalogue, one client",
        &["", "pages", "tools", "a page, µs (p50)", "(p99)", "KiB of a page", "CPU µs of a page", "all of it, ms"],
    );
    for shape in [Shape { what: "in pages", ..each }, Shape { what: "whole", paged: false, ..each }] {
        let loaded = load(&folder.path().join(shape.what), shape, options).await?;
        lists.row(list(&loaded, shape, options).await?);
        loaded.process.stop().await?;
    }
    Ok(format!("{starts}\n{lists}"))
}

async fn list(loaded: &Loaded, shape: Shape, options: &Options) -> Result<Vec<String>> {
    let mut connection = Connection::open(loaded.address).await?;
    connection.path = format!("/gateways/{}/mcp", gateway_id(0)).leak();
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}});
    let session = connection.post(None, &hello.to_string()).await?.session.ok_or("no session")?;
    let (mut times, mut rounds, mut bytes, mut tools, mut pages) = (Vec::new(), Vec::new(), 0, 0, 0);
    let mut before = 0;
    for measured in [false, true] {
        (times, rounds, bytes, tools, pages) = (Vec::new(), Vec::new(), 0, 0, 0);
        before = procfs::cpu_us(loaded.process.pid())?;
        let since = Instant::now();
        let time = if measured { options.measured } else { options.warm_up };
        while since.elapsed() < time {
            let mut round = 0;
            let mut cursor = None;
            loop {
                let params = cursor.map_or_else(|| json!({}), |cursor: String| json!({"cursor": cursor}));
                let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}).to_string();
                let begun = Instant::now();
                let reply = connection.post(Some(&session), &body).await?;
                let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                times.push(took);
                round += took;
                bytes += reply.body.len();
                pages += 1;
                let Answer { result } = serde_json::from_slice(&reply.body)?;
                tools += result.tools.len();
                cursor = result.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            rounds.push(round);
        }
    }
    let cpu = procfs::cpu_us(loaded.process.pid())? - before;
    times.sort_unstable();
    rounds.sort_unstable();
    if tools != rounds.len() * shape.targets * shape.tools {
        return Err(format!("{tools} tools in {} lists", rounds.len()).into());
    }
    Ok(vec![
        shape.what.into(),
        (pages / rounds.len()).to_string(),
        (tools / rounds.len()).to_string(),
        format!("{:.0}", quantile(&times, 0.5) as f64 / 1e3),
        format!("{:.0}", quantile(&times, 0.99) as f64 / 1e3),
        format!("{:.0}", bytes as f64 / pages as f64 / 1024.0),
        format!("{:.0}", cpu as f64 / pages as f64),
        format!("{:.1}", quantile(&rounds, 0.5) as f64 / 1e6),
    ])
}

/// Fills a store and starts a gateway on it.
async fn load(folder: &Path, shape: Shape, options: &Options) -> Result<Loaded> {
    eprintln!("control plane, {} gateways, {}", shape.gateways, shape.what);
    let (data, config) = (folder.join("data"), folder.join("config"));
    fs::create_dir_all(&data)?;
    fs::create_dir_all(&config)?;
    fill(&data, shape).await?;
    let file = config.join("gateway.yaml");
    fs::write(
        &file,
        format!(
            "listen: 127.0.0.1:0\ndata_dir: {}\nallow_private_networks: [127.0.0.0/8]\nlog: {{level: \"{}\"}}\ncontrol:\n  \
             listen: 127.0.0.1:0\n  credentials: [{{access_key_id: AKIDEXAMPLEEXAMPLE, secret_access_key: not-a-secret}}]\n  \
             quotas: {{calls_per_second: 1000000, calls_per_second_in_all: 1000000}}\ngateways:\n  - name: zz\n    \
             targets: [{{name: t, tools: [], mcp: {{url: \"http://127.0.0.1:1/mcp\"}}}}]\n",
            data.display(),
            options.log
        ),
    )?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.arg("serve").arg("--config").arg(&file).stdin(Stdio::null());
    command.stderr(File::options().append(true).create(true).open(folder.join("log"))?);
    let begun = Instant::now();
    // The last of them, as they are sorted.
    let started = Process::start_and_read("the gateway", "zz: http://", &mut command).await;
    let took = begun.elapsed();
    let (process, line) =
        started.map_err(|error| format!("{error}: {}", fs::read_to_string(folder.join("log")).unwrap_or_default()))?;
    Ok(Loaded { process, address: line.split('/').next().unwrap_or_default().parse()?, took })
}

async fn fill(data: &Path, shape: Shape) -> Result<()> {
    let store = SledStore::open(&SledOptions::new(data.join("store")))?;
    let (mut objects, mut catalogues) = (Vec::new(), Vec::new());
    for at in 0..shape.gateways {
        let id = gateway_id(at);
        let value = gateway_object(&id, shape).to_string().into_bytes();
        objects.push(ObjectWrite::put(ObjectKey::top("gateway", &id), value));
        objects.push(ObjectWrite::put(ObjectKey::top("gateway-name", &id), id.clone().into_bytes()));
        for target in 0..shape.targets {
            let name = format!("target-{target}");
            let target_id = format!("T{target:09}");
            let value = target_object(&id, &target_id, &name, shape).to_string().into_bytes();
            objects.push(ObjectWrite::put(ObjectKey::scoped("target", &id, &target_id), value));
            objects.push(ObjectWrite::put(ObjectKey::scoped("target-name", &id, &name), target_id.into_bytes()));
            if !shape.declared {
                let tools =
                    tools(shape.tools).iter().map(RawJson::from_serialize).collect::<std::result::Result<_, _>>()?;
                let catalogue = TargetCatalogue::of_tools(tools, Timestamp(1));
                let catalogue = TargetCatalogue { revision: "2025-11-25".into(), ..catalogue };
                let value = Some(serde_json::to_vec(&catalogue)?.into());
                catalogues.push(CatalogueWrite { gateway: id.as_str().into(), target: name.into(), value });
            }
        }
        while objects.len() >= BATCH || (at + 1 == shape.gateways && !objects.is_empty()) {
            let next = objects.drain(..objects.len().min(BATCH)).collect();
            let catalogues = catalogues.drain(..catalogues.len().min(BATCH / 2)).collect();
            store.write_objects(ControlBatch { objects: next, catalogues }).await?;
        }
    }
    store.close().await?;
    Ok(())
}

fn gateway_id(at: usize) -> String {
    format!("bench-{at:010}")
}

fn gateway_object(id: &str, shape: Shape) -> Value {
    let members = json!({
        "name": id, "roleArn": "arn:aws:iam::000000000000:role/any", "authorizerType": "NONE",
        "protocolType": "MCP", "exceptionLevel": "DEBUG",
        "protocolConfiguration": {"mcp": {
            "sessionConfiguration": {"sessionTimeoutInSeconds": 3600},
            "streamingConfiguration": {"enableResponseStreaming": true},
            "disableMcpListToolsPagination": !shape.paged,
        }},
    });
    json!({"id": id, "input": members, "active": members, "status": "READY", "createdAt": 1, "updatedAt": 1, "creation": null})
}

fn target_object(gateway: &str, id: &str, name: &str, shape: Shape) -> Value {
    let mut server = json!({"endpoint": "http://127.0.0.1:1/mcp"});
    let mut tools_member = Value::Null;
    if shape.declared {
        let tools = tools(shape.tools);
        server["mcpToolSchema"] = json!({"inlinePayload": json!(tools).to_string()});
        tools_member = json!(tools);
    }
    let members = json!({"name": name, "targetConfiguration": {"mcp": {"mcpServer": server}}});
    json!({
        "gateway": gateway, "id": id, "input": members, "active": members, "activeTools": tools_member,
        "status": "READY", "createdAt": 1, "updatedAt": 1, "lastSynchronizedAt": null, "creation": null,
    })
}

/// As tools are: a sentence and a schema with a few properties.
fn tools(count: usize) -> Vec<Value> {
    let tool = |at| {
        json!({
            "name": format!("tool_{at}"),
            "description": "Looks for what is asked for and returns what was found, in the order of its importance.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "What to look for"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many to return"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["query"],
            },
        })
    };
    (0..count).map(tool).collect()
}
