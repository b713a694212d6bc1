//! What finding tools costs: the index of a catalogue, and a question to it.

use std::hint::black_box;

use criterion::Criterion;
use serde_json::json;
use sessiongate_actors::catalogue::search::{Index, best};
use sessiongate_protocol::RawJson;

/// Actions and things whose tools are all different.
const ACTIONS: [&str; 10] =
    ["create", "list", "delete", "update", "search", "describe", "export", "archive", "share", "restore"];
const THINGS: [&str; 10] =
    ["issue", "invoice", "message", "event", "document", "repository", "customer", "order", "deployment", "report"];

/// A thousand tools of ten servers, about 700 bytes each.
fn tools() -> Vec<(String, String, RawJson)> {
    let every =
        (0..10).flat_map(|server| ACTIONS.iter().flat_map(move |action| THINGS.map(|thing| (server, *action, thing))));
    every
        .map(|(server, action, thing)| {
            let name = format!("{action}_{thing}");
            let tool = json!({
                "name": name,
                "description": format!(
                    "Use this to {action} one {thing} or several of them in the workspace number {server}. Returns the {thing} \
                     with all of its fields, or an error that says what is wrong with the arguments and how to mend it."
                ),
                "inputSchema": {"type": "object", "properties": {
                    format!("{thing}_id"): {"type": "string", "description": format!("Identifier of the {thing}")},
                    "workspace": {"type": "string", "description": "Where to look, by default the workspace of the caller"},
                    "limit": {"type": "integer", "description": "How many at most, from one to a hundred"},
                    "dryRun": {"type": "boolean", "description": "Say what would be done without doing it"},
                }},
            });
            (format!("server-{server}"), name, RawJson::from_serialize(&tool).unwrap_or(RawJson::EMPTY_OBJECT))
        })
        .collect()
}

pub fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("search among 1000 tools");
    let tools = tools();
    let build = || Index::build(tools.iter().map(|(target, name, tool)| (&**target, &**name, tool)));
    let index = build();
    for (name, query) in [
        ("two words", "archive invoice"),
        ("a sentence", "please restore the document that I deleted from the workspace of a customer yesterday"),
    ] {
        assert!(!best(&index.scores(query), 10).is_empty());
        group.bench_function(name, |b| b.iter(|| best(&index.scores(black_box(query)), 10)));
    }
    group.sample_size(20);
    group.bench_function("build the index", |b| b.iter(build));
}
