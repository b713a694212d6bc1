//! Questions to the person and to the client: they come on the call they belong to, and the answers go back.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Home, Program, eventually, http_target, reference_server};

const QUESTION: &str = "elicitation/create";

struct Scene {
    _home: Home,
    target: Program,
    _gateway: Program,
    client: Client,
}

/// A client with these capabilities, and plain names.
async fn scene(capabilities: Value, revision: &'static str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&[]));
    let gateway = home.gateway(&target.url, None).unwrap();
    let mut client = Client::new(&gateway.url);
    client.revision = revision;
    client.initialize(capabilities).await.unwrap();
    Scene { _home: home, target, _gateway: gateway, client }
}

async fn latest(capabilities: Value) -> Scene {
    scene(capabilities, "2025-11-25").await
}

fn both() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_form_can_be_accepted_declined_and_cancelled() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    let content = json!({"name": "Ada", "age": 36, "colour": "r", "subscribe": true});
    for answer in
        [json!({"action": "accept", "content": content}), json!({"action": "decline"}), json!({"action": "cancel"})]
    {
        let (_, mut stream) = scene.client.start("sg_elicit_form", json!({})).await;
        let question = stream.message(QUESTION).await;
        assert_eq!(question["params"]["requestedSchema"]["properties"]["name"]["maxLength"], 40);
        assert_eq!(scene.client.answer(&question, answer.clone()).await, 202);
        let result = stream.response().await;
        assert_eq!(result["result"]["structuredContent"]["action"], answer["action"], "{result}");
        assert_eq!(result["result"]["structuredContent"].get("content"), answer.get("content"), "{result}");
        assert_eq!(scene.client.answer(&question, answer).await, 202, "a late double does no harm");
    }
    assert_eq!(scene.target.stats().await["answers"]["sg_elicit_form"], 3);
}

#[tokio::test]
async fn two_questions_of_one_call_are_answered_in_any_order() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    let (_, mut stream) = scene.client.start("sg_elicit_two", json!({})).await;
    let questions = [stream.message(QUESTION).await, stream.message(QUESTION).await];
    assert_ne!(questions[0]["id"], questions[1]["id"]);
    for question in questions.iter().rev() {
        let field = question["params"]["requestedSchema"]["required"][0].as_str().unwrap();
        let answer = json!({"action": "accept", "content": {field: format!("to {field}")}});
        assert_eq!(scene.client.answer(question, answer).await, 202);
    }
    let result = stream.response().await["result"]["structuredContent"].clone();
    assert_eq!(result["first"]["content"], json!({"first": "to first"}), "{result}");
    assert_eq!(result["second"]["content"], json!({"second": "to second"}), "{result}");
}

#[tokio::test]
async fn questions_of_two_calls_and_sessions_do_not_mix() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    let mut other = Client::ready(&scene.client.url, json!({"elicitation": {}})).await;
    let (_, mut a) = scene.client.start("sg_elicit_form", json!({})).await;
    let (_, mut b) = scene.client.start("sg_elicit_form", json!({})).await;
    let (_, mut c) = other.start("sg_elicit_form", json!({})).await;
    let answer = |name: &str| json!({"action": "accept", "content": {"name": name}});
    let questions = [a.message(QUESTION).await, b.message(QUESTION).await, c.message(QUESTION).await];
    assert_eq!(other.answer(&questions[2], answer("c")).await, 202);
    assert_eq!(scene.client.answer(&questions[1], answer("b")).await, 202);
    assert_eq!(scene.client.answer(&questions[0], answer("a")).await, 202);
    for (stream, name) in [(&mut a, "a"), (&mut b, "b"), (&mut c, "c")] {
        assert_eq!(stream.response().await["result"]["structuredContent"]["content"]["name"], name);
    }
}

#[tokio::test]
async fn a_page_is_visited_and_its_completion_told() {
    let mut scene = latest(both()).await;
    let mut standing = scene.client.listen(None).await;
    for action in ["accept", "decline"] {
        let (_, mut stream) = scene.client.start("sg_elicit_url", json!({})).await;
        let question = stream.message(QUESTION).await;
        let params = &question["params"];
        assert_eq!(params["mode"], "url");
        let id = params["elicitationId"].as_str().unwrap().to_owned();
        assert_eq!(params["url"], format!("https://example.com/visit/{id}"));
        assert_eq!(scene.client.answer(&question, json!({"action": action})).await, 202);
        if action == "accept" {
            let complete = standing.message("notifications/elicitation/complete").await;
            assert_eq!(complete["params"]["elicitationId"], id);
        }
        let result = stream.response().await;
        assert_eq!(result["result"]["structuredContent"], json!({"action": action, "elicitationId": id}));
    }
}

#[tokio::test]
async fn a_call_that_needs_a_page_first_works_when_repeated() {
    let mut scene = latest(both()).await;
    let refused = scene.client.call("sg_url_required", json!({})).await;
    assert_eq!(refused["error"]["code"], -32042, "{refused}");
    let elicitation = &refused["error"]["data"]["elicitations"][0];
    assert_eq!(elicitation["mode"], "url");
    let id = elicitation["elicitationId"].as_str().unwrap();
    assert_eq!(elicitation["url"], format!("https://example.com/connect/{id}"));
    assert_eq!(said(&scene.client.call("sg_url_required", json!({})).await), "the page was visited");

    let mut forms_only = latest(json!({"elicitation": {}})).await;
    let refused = forms_only.client.call("sg_url_required", json!({})).await;
    assert_ne!(refused["error"]["code"], -32042, "a client that cannot visit is not sent there: {refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("target `ref`"), "{refused}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused_and_the_tool_told() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    for (answer, why) in [
        (json!({"action": "accept", "content": {"name": "Ada", "age": 1000}}), "age"),
        (json!({"action": "accept", "content": {"name": ""}}), "name"),
        (json!({"action": "accept", "content": {}}), "name"),
        (json!({"action": "accept"}), "content"),
        (json!({"action": "perhaps"}), "action"),
    ] {
        let (_, mut stream) = scene.client.start("sg_elicit_form", json!({})).await;
        let question = stream.message(QUESTION).await;
        let body = json!({"jsonrpc": "2.0", "id": question["id"], "result": answer});
        let (status, body) = scene.client.send(&body).await;
        assert_eq!(status, 400, "{answer}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(why), "{answer}: {body}");
        let result = stream.response().await;
        assert_eq!(result["result"]["isError"], true, "{answer}: {result}");
        assert!(said(&result).contains("does not fit"), "{answer}: {result}");
    }
    assert_eq!(scene.target.stats().await["answers"], json!({}), "no wrong answer reached the tool");
}

#[tokio::test]
async fn an_error_for_an_answer_reaches_the_tool() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    let (_, mut stream) = scene.client.start("sg_elicit_form", json!({})).await;
    let question = stream.message(QUESTION).await;
    let error = json!({"code": -32123, "message": "the screen is broken"});
    let (status, _) = scene.client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error})).await;
    assert_eq!(status, 202);
    assert_eq!(said(&stream.response().await), "the screen is broken (-32123)");
}

#[tokio::test]
async fn sampling_and_roots_go_to_the_client_that_has_them() {
    let mut scene = latest(json!({"sampling": {}, "roots": {"listChanged": true}})).await;
    let (_, mut stream) = scene.client.start("sg_sample", json!({"prompt": "Say yes."})).await;
    let request = stream.message("sampling/createMessage").await;
    assert_eq!(request["params"]["messages"][0]["content"]["text"], "Say yes.");
    let sampled = json!({"role": "assistant", "content": {"type": "text", "text": "yes"}, "model": "m"});
    assert_eq!(scene.client.answer(&request, sampled).await, 202);
    assert_eq!(said(&stream.response().await), "LLM response: yes");

    let (_, mut stream) = scene.client.start("sg_roots", json!({})).await;
    let request = stream.message("roots/list").await;
    let roots = json!({"roots": [{"uri": "file:///srv/data", "name": "data"}]});
    assert_eq!(scene.client.answer(&request, roots.clone()).await, 202);
    assert_eq!(stream.response().await["result"]["structuredContent"]["roots"], roots["roots"]);
}

#[tokio::test]
async fn an_older_client_gets_a_form_that_it_knows() {
    let mut scene = scene(json!({"elicitation": {}}), "2025-06-18").await;
    let (_, mut stream) = scene.client.start("sg_elicit_form", json!({})).await;
    let question = stream.message(QUESTION).await;
    assert!(question["params"].get("mode").is_none(), "{question}");
    let fields = &question["params"]["requestedSchema"]["properties"];
    assert_eq!(fields["colour"]["enum"], json!(["r", "g"]), "{fields}");
    assert_eq!(fields["colour"]["enumNames"], json!(["Red", "Green"]), "{fields}");
    assert!(fields["colour"].get("oneOf").is_none() && fields["colour"].get("default").is_none(), "{fields}");
    assert_eq!(fields["name"]["maxLength"], 40);
    let content = json!({"name": "Ada", "colour": "g"});
    assert_eq!(scene.client.answer(&question, json!({"action": "accept", "content": content})).await, 202);
    assert_eq!(stream.response().await["result"]["structuredContent"]["content"], content);

    // Several choices in one field cannot be said in that revision: the tool is told, the client not asked.
    let refused = scene.client.call("test_elicitation_sep1330_enums", json!({})).await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(said(&refused).contains("2025-06-18") && said(&refused).contains("Multi"), "{refused}");

    let (_, mut stream) = scene.client.start("test_elicitation_sep1034_defaults", json!({})).await;
    let question = stream.message(QUESTION).await;
    assert_eq!(question["params"]["requestedSchema"]["properties"]["verified"]["default"], true);
    assert!(question["params"]["requestedSchema"]["properties"]["age"].get("default").is_none(), "{question}");
}

#[tokio::test]
async fn a_target_learns_only_what_its_client_can_do() {
    for (declared, shown) in [
        (json!({}), json!({})),
        (json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})),
        (json!({"elicitation": {"url": {}}}), json!({"elicitation": {"url": {}}})),
        (json!({"sampling": {}}), json!({"sampling": {}})),
    ] {
        let mut scene = latest(declared.clone()).await;
        let answer = scene.client.call("sg_whoami", json!({})).await;
        let client = &answer["result"]["structuredContent"]["client"];
        let told = &client["capabilities"];
        for capability in ["elicitation", "sampling", "roots"] {
            let (told, shown) = (told.get(capability), shown.get(capability));
            // A form may be left out: an empty object means forms.
            let same = told == shown || (told == Some(&json!({})) && shown == Some(&json!({"form": {}})));
            assert!(same, "{declared}: {client}");
        }
        if declared == json!({}) {
            let refused = scene.client.call("sg_elicit_form", json!({})).await;
            assert_eq!(said(&refused), "the client did not declare elicitation");
        }
    }
}

#[tokio::test]
async fn a_question_goes_with_the_call_that_the_client_cancels() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    let (call, mut stream) = scene.client.start("sg_elicit_form", json!({})).await;
    let question = stream.message(QUESTION).await;
    scene.client.notify("notifications/cancelled", json!({"requestId": call, "reason": "never mind"})).await;
    let withdrawn = stream.message("notifications/cancelled").await;
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    assert!(stream.rest().await.iter().all(|event| event.data.is_none()), "a cancelled call has no response");
    let late = json!({"action": "accept", "content": {"name": "Ada"}});
    assert_eq!(scene.client.answer(&question, late).await, 202);
    assert_eq!(said(&scene.client.call("sg_echo", json!({})).await), "{}");
    assert_eq!(scene.target.stats().await["answers"], json!({}));
}

#[tokio::test]
async fn a_target_that_dies_takes_its_question_back() {
    let mut scene = latest(json!({"elicitation": {}})).await;
    let (_, mut stream) = scene.client.start("sg_elicit_form", json!({})).await;
    let question = stream.message(QUESTION).await;
    let forget = format!("{}/control/forget-sessions", scene.target.base());
    reqwest::Client::new().post(forget).send().await.unwrap();
    let ended = async {
        let mut withdrawn = false;
        loop {
            let event = stream.next().await.unwrap().expect("a response before the end");
            let Some(data) = event.data else { continue };
            withdrawn |= data["method"] == "notifications/cancelled" && data["params"]["requestId"] == question["id"];
            if data.get("result").is_some() {
                return (withdrawn, data);
            }
        }
    };
    let (withdrawn, result) = ended.await;
    assert!(withdrawn, "{result}");
    assert_eq!(result["result"]["isError"], true, "{result}");
    assert!(said(&result).contains("target `ref`") && said(&result).contains("outcome is unknown"), "{result}");
}

#[tokio::test]
async fn prefixed_names_come_with_who_asks() {
    let (home, a, b) = (Home::new(), reference_server(&[]), reference_server(&[]));
    let targets = [http_target("a", &a.url, ""), http_target("b", &b.url, "")].concat();
    let gateway = home.configured(&format!("targets:\n{targets}"));
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    for name in ["a", "b"] {
        let (call, mut stream) = client.start(&format!("{name}___sg_elicit_form"), json!({})).await;
        let question = stream.message(QUESTION).await;
        assert_eq!(question["params"]["message"], format!("[{name}] Who are you?"));
        client.notify("notifications/cancelled", json!({"requestId": call})).await;
    }
    eventually("nothing waits", async || {
        (gateway.metric("sessiongate_questions_pending", "").await == 0.0).then_some(())
    })
    .await;
}

/// A client lost its call's stream and comes with a fresh GET; `killed`: because the gateway was.
async fn asked_again(killed: bool) {
    let (home, target) = (Home::new(), reference_server(&[]));
    let yaml = format!("naming: plain\nkeep_alive: 1s\ntargets:\n{}", http_target("ref", &target.url, ""));
    let mut gateway = home.configured(&yaml);
    let mut client = Client::ready(&gateway.url, json!({"elicitation": {}})).await;
    let (_, mut stream) = client.start("sg_elicit_form", json!({})).await;
    let question = stream.message(QUESTION).await;
    drop(stream);
    if killed {
        gateway.kill();
        gateway = home.again();
    }
    client.reconnect();
    let mut standing = client.listen(None).await;
    assert_eq!(standing.message(QUESTION).await, question, "the same under the same id");
    let answer = json!({"action": "accept", "content": {"name": "Ada"}});
    assert_eq!(client.answer(&question, answer.clone()).await, 202);
    assert_eq!(client.answer(&question, answer).await, 202);
    eventually("the tool has the answer, once, and nothing waits", async || {
        let done = target.stats().await["answers"]["sg_elicit_form"] == 1
            && gateway.metric("sessiongate_questions_pending", "").await == 0.0;
        done.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_lost_its_stream_is_asked_again_on_its_next_get() {
    asked_again(false).await;
}

#[tokio::test]
async fn a_client_is_asked_again_after_the_gateway_was_killed() {
    asked_again(true).await;
}
