//! What people ask and what they should find.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sessiongate_protocol::RawJson;
use sessiongate_storage::Timestamp;

use super::*;
use crate::catalogue::{ListKind, TargetCatalogue, TargetState};
use crate::settings::{Affinity, GatewaySettings, Listing, Naming, SessionSettings, TargetSettings};

fn raw(value: &Value) -> RawJson {
    RawJson::parse(value.to_string()).unwrap()
}

fn target(name: &str, tools: Vec<RawJson>, listing: Listing) -> TargetState {
    let settings = TargetSettings {
        name: name.into(),
        call_timeout: Duration::from_secs(1),
        resource_priority: 1,
        required: false,
        affinity: Affinity::Principal,
        listing: Some(listing),
        tool_name: usize::MAX,
    };
    TargetState { settings, catalogue: Some(Arc::new(TargetCatalogue::of_tools(tools, Timestamp(1)))) }
}

fn snapshot(naming: Naming, targets: Vec<TargetState>) -> Snapshot {
    let settings = GatewaySettings {
        name: "test".into(),
        naming,
        listing: Listing::Default,
        pagination: true,
        exceptions: Default::default(),
        max_name_length: None,
        search: true,
        sessions: SessionSettings::default(),
    };
    Snapshot::build(&settings, targets)
}

/// Some seventy tools of thirteen servers.
fn realistic() -> Snapshot {
    let all: Map<String, Value> = serde_json::from_str(include_str!("catalogue.json")).unwrap();
    let tool = |(name, about): (&String, &Value)| {
        let parameters = about[1].as_object().unwrap().iter();
        let properties: Map<_, _> =
            parameters.map(|(name, says)| (name.clone(), json!({"type": "string", "description": says}))).collect();
        raw(
            &json!({"name": name, "description": about[0], "inputSchema": {"type": "object", "properties": properties}}),
        )
    };
    let targets = all
        .iter()
        .map(|(name, tools)| target(name, tools.as_object().unwrap().iter().map(tool).collect(), Listing::Default));
    snapshot(Naming::Prefixed, targets.collect())
}

fn names(found: &[Cow<'_, RawJson>]) -> Vec<String> {
    found.iter().map(|tool| tool.get::<Value>().unwrap()["name"].as_str().unwrap().to_owned()).collect()
}

fn ask(query: &Value) -> RawJson {
    raw(&json!({"name": TOOL, "arguments": {"query": query}}))
}

#[test]
fn natural_questions_find_their_tool_among_the_first_three() {
    let catalogue = realistic();
    let mut wrong = Vec::new();
    for (query, expected) in [
        ("I want to open a bug report as an issue on GitHub", "github___create_issue"),
        ("create issue", "github___create_issue"),
        ("merge the pull request", "github___merge_pull_request"),
        ("propose my changes as a pull request", "github___create_pull_request"),
        ("search for code in our repos", "github___search_code"),
        ("post a message to the team channel on Slack", "slack___postMessage"),
        ("react with an emoji", "slack___addReaction"),
        ("send an e-mail with attachments to a customer", "gmail___send_email"),
        ("find emails from my boss", "gmail___search_emails"),
        ("schedule a meeting with attendees next Tuesday", "calendar___create_event"),
        ("when are all of us free for an hour?", "calendar___find_free_time"),
        ("rename a file", "files___move_file"),
        ("listing directories", "files___list_directory"),
        ("run a SQL query", "postgres___run_query"),
        ("which columns does the table have", "postgres___describe_table"),
        ("take a screenshot of a web page", "browser___take_screenshot"),
        ("directions from the station to the hotel by bicycle", "maps___get_directions"),
        ("find restaurants nearby", "maps___search_places"),
        ("weather forecast for Berlin", "weather___get_forecast"),
        ("give the customer a refund for order 42", "shop___processRefund"),
        ("What is the status of my order?", "shop___getOrderStatus"),
        ("show me the logs of a pod", "kubernetes___get_pod_logs"),
        ("scale the deployment to five replicas", "kubernetes___scale_deployment"),
        ("translate this into French", "tools___translate_text"),
        ("convert dollars to another currency", "tools___convert_currency"),
        ("report progress", "ref___test_tool_with_progress"),
        ("k8s or kube pods", "kubernetes___list_pods"),
    ] {
        let found = names(&catalogue.search(query, None));
        if !found.iter().take(3).any(|name| name == expected) {
            wrong.push(format!("{query}: {expected} is not among the first of {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_answer_is_the_tools_as_they_are_listed_twice() {
    let catalogue = realistic();
    let result: Value =
        answer(&catalogue, Some(&ask(&json!("issue"))), None, |tool| tool.into_owned()).unwrap().get().unwrap();
    let tools = result["structuredContent"]["tools"].as_array().unwrap();
    assert!((3..=MOST).contains(&tools.len()), "{result}");
    for tool in tools {
        let listed = catalogue.item(ListKind::Tools, tool["name"].as_str().unwrap()).unwrap();
        assert_eq!(*tool, listed.get::<Value>().unwrap());
    }
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    assert_eq!((&result["isError"], result["content"].as_array().unwrap().len()), (&json!(false), 1));
}

#[test]
fn nothing_found_says_what_to_do() {
    let catalogue = realistic();
    for query in ["xylophone", "???", "天気"] {
        let result = answer(&catalogue, Some(&ask(&json!(query))), None, |tool| tool.into_owned()).unwrap();
        let result: Value = result.get().unwrap();
        assert_eq!(result["structuredContent"], json!({"tools": []}), "{query}");
        assert_eq!(result["content"][0]["text"], r#"{"tools":[]}"#);
        assert!(result["content"][1]["text"].as_str().unwrap().contains("Try others"));
    }
}

#[test]
fn what_is_no_query_is_refused() {
    let catalogue = realistic();
    let of = |params: Option<&RawJson>| answer(&catalogue, params, None, |tool| tool.into_owned()).map(drop);
    assert_eq!(of(None), Err(SearchError::NoQuery));
    for (query, expected) in [
        (json!(null), Err(SearchError::NoQuery)),
        (json!(7), Err(SearchError::NoQuery)),
        (json!(["a"]), Err(SearchError::NoQuery)),
        (json!(" \n"), Err(SearchError::Empty)),
        (json!("a".repeat(LONGEST_QUERY + 1)), Err(SearchError::TooLong)),
        (json!("a ".repeat(LONGEST_QUERY / 2)), Ok(())),
    ] {
        assert_eq!(of(Some(&ask(&query))), expected, "{query}");
    }
    for arguments in [json!(null), json!([]), json!("issue"), json!({})] {
        assert_eq!(of(Some(&raw(&json!({"name": TOOL, "arguments": arguments})))), Err(SearchError::NoQuery));
    }
}

fn simple(name: &str, description: &str) -> RawJson {
    raw(&json!({"name": name, "description": description, "inputSchema": {"type": "object"}}))
}

#[test]
fn equal_tools_come_in_the_order_of_the_list_and_never_too_many() {
    let tools = (0..30).map(|at| simple(&format!("t{at}"), "the same")).collect();
    let catalogue = snapshot(Naming::Prefixed, vec![target("a", tools, Listing::Default)]);
    let expected: Vec<String> = (0..MOST).map(|at| format!("a___t{at}")).collect();
    assert_eq!(names(&catalogue.search("same", None)), expected);
}

#[test]
fn live_targets_and_the_tool_itself_are_not_found() {
    let own = TOOL.to_owned() + " search tools";
    let catalogue = snapshot(
        Naming::Prefixed,
        vec![
            target("live", vec![simple("find", "search tools")], Listing::Dynamic),
            target("kept", vec![simple("find", "search tools")], Listing::Default),
        ],
    );
    assert_eq!(names(&catalogue.search(&own, None)), ["kept___find"]);
    assert_eq!(catalogue.count(ListKind::Tools), 2);
}

#[test]
fn short_names_are_those_of_the_list() {
    let long = "x".repeat(100);
    let catalogue = snapshot(
        Naming::Prefixed,
        vec![target("a", vec![simple(&long, "very long"), simple("b", "")], Listing::Default)],
    );
    let page = catalogue.page_within(ListKind::Tools, 0, 40).unwrap();
    let listed = names(&page.items);
    assert_eq!((&*listed[0], listed[1].len(), &*listed[2]), (TOOL, 40, "a___b"));
    assert_eq!(names(&catalogue.search("long", Some(40))), listed[1..2]);
    assert_eq!(names(&catalogue.search("b", Some(40))), ["a___b"]);
}

#[test]
fn no_target_can_take_the_name() {
    let catalogue =
        snapshot(Naming::Plain, vec![target("a", vec![simple(TOOL, "false"), simple("b", "")], Listing::Default)]);
    let page = catalogue.page(ListKind::Tools, 0).unwrap();
    assert_eq!(names(&page.items), [TOOL, "b"]);
    assert_eq!(*page.items[0], tool());
    assert_eq!(catalogue.route_name(ListKind::Tools, TOOL), None);
    // Also where its only target is to be asked for what is not known.
    let live = snapshot(Naming::Plain, vec![target("a", Vec::new(), Listing::Dynamic)]);
    assert_eq!(live.route_name(ListKind::Tools, TOOL), None);
    assert!(live.route_name(ListKind::Tools, "other").is_some());
    // A client is told of tools even where no target has any.
    assert!(snapshot(Naming::Prefixed, Vec::new()).capabilities().tools);
}

#[test]
fn odd_schemas_are_read_as_far_as_they_go() {
    let mut deep = json!({"type": "object", "properties": {"innermost": {}}});
    for _ in 0..20 {
        deep = json!({"type": "object", "properties": {"level": deep}});
    }
    let nested = json!({"type": "array", "items": {"properties": {"street": {"description": "Avenue or lane"}}}});
    let tools = [
        json!({"name": "deep", "inputSchema": deep}),
        json!({"name": "nested", "inputSchema": {"properties": {"places": nested}}}),
        json!({"name": "odd", "title": 7, "description": ["no"], "inputSchema": true}),
        json!({"name": "titled", "title": "Gives a Title", "annotations": {"title": "Second"}}),
    ];
    let catalogue = snapshot(Naming::Prefixed, vec![target("a", tools.iter().map(raw).collect(), Listing::Default)]);
    for (query, expected) in
        [("avenue", "a___nested"), ("odd", "a___odd"), ("second", "a___titled"), ("giving titles", "a___titled")]
    {
        assert_eq!(names(&catalogue.search(query, None)), [expected], "{query}");
    }
    assert_eq!(names(&catalogue.search("innermost", None)), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_query_breaks_the_search(query in ".{0,300}", limit in proptest::option::of(32usize..80)) {
        let catalogue = realistic();
        let found = names(&catalogue.search(&query, limit));
        prop_assert!(found.len() <= MOST);
        prop_assert_eq!(names(&realistic().search(&query, limit)), found, "the same again");
        let scores = catalogue.index().scores(&query);
        prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{:?}", scores);
    }

    #[test]
    fn no_tool_breaks_the_index(name in ".{1,40}", text in ".{0,200}", query in "[a-zA-Z_ ]{0,30}") {
        let tools = vec![raw(&json!({"name": name, "description": text, "inputSchema": {"properties": {"p": {"description": query.clone()}}}}))];
        let catalogue = snapshot(Naming::Prefixed, vec![target("a", tools, Listing::Default)]);
        prop_assert!(catalogue.search(&query, None).len() <= 1);
    }
}
