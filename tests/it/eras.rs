//! Every client era in front of every server era: the same program of features through the whole gateway.
//!
//! Each cell passes, or is one of these documented refusals, which the client sees word for word ([`REFUSALS`]):
//!
//! | client | server | feature | what the client gets |
//! |---|---|---|---|
//! | 2025-06-18 | legacy | URL elicitation | the server's own words: the client did not declare it (the mode is of 2025-11-25) |
//! | 2025-06-18 | legacy | -32042 | -32603, which names the target and the missing capability (the code is of 2025-11-25) |
//! | 2025-06-18 | modern | URL elicitation | a tool error: target `ref` needs a client with elicitation.url |
//! | 2025-06-18 | modern | -32042, there a question | the same |
//! | 2026-07-28 | legacy | logging | lines on the stream of the call; those on the server's standing stream may be missed |
//!
//! Undeclared capabilities, endless rounds and bounds: `eras_modern_client` and `eras_legacy_client`.

use serde_json::{Value, json};

use crate::client::Client;
use crate::eras_player::{Played, Player, answer, tool};
use crate::harness::{Home, Program, eventually, http_target, reference_server};
use crate::modern_client::ModernClient;

const CLIENTS: [&str; 3] = ["2025-06-18", "2025-11-25", "2026-07-28"];
const WATCHED: &str = "test://watched-resource";

/// Client, server, feature, and what the client is told.
const REFUSALS: [(&str, &str, &str, &str); 5] = [
    ("2025-06-18", "legacy", "URL elicitation", "tool error: the client did not declare URL elicitation"),
    (
        "2025-06-18",
        "legacy",
        "-32042",
        "-32603 target `ref` needs a page to be visited first, and the client did not declare URL mode elicitation",
    ),
    ("2026-07-28", "legacy", "logging", STANDING_LOG),
    ("2025-06-18", "modern", "URL elicitation", "tool error: target `ref` needs a client with elicitation.url"),
    ("2025-06-18", "modern", "-32042", "tool error: target `ref` needs a client with elicitation.url"),
];
/// Not what the client is told: it is told nothing.
const STANDING_LOG: &str = "log lines that the server sends on its standing stream may be missed";

/// A feature works, or the client is told why not.
type Cell = Result<(), String>;

struct Scene {
    _home: Home,
    target: Program,
    _gateway: Program,
    player: Player,
    revision: &'static str,
    server: &'static str,
}

async fn scene(revision: &'static str, server: &'static str) -> Scene {
    let (home, target) = (Home::new(), reference_server(&["--era", server, "--many"]));
    let gateway = home.configured(&format!("naming: plain\ntargets:\n{}", http_target("ref", &target.url, "")));
    let player = Player::new(&gateway.url, revision).await;
    Scene { _home: home, target, _gateway: gateway, player, revision, server }
}

/// Fails with what the client was told, if it was refused.
fn good(played: Played) -> Result<Played, String> {
    match played.refused() {
        Some(refused) => Err(refused),
        None => Ok(played),
    }
}

impl Scene {
    async fn call(&mut self, name: &str, arguments: Value) -> Result<Played, String> {
        good(self.player.call(name, arguments).await)
    }

    async fn plain_call(&mut self) -> Cell {
        let played = self.call("sg_echo", json!({"text": "é\u{0}", "whole": 9_007_199_254_740_993_i64})).await?;
        assert_eq!(played.structured()["text"], "é\u{0}", "{played:?}");
        assert_eq!(played.structured()["whole"], 9_007_199_254_740_993_i64, "{played:?}");
        let result = played.answer["result"].as_object().unwrap();
        for name in ["resultType", "ttlMs", "cacheScope"] {
            assert!(self.player.is_modern() || !result.contains_key(name), "{name} is of the other era: {played:?}");
        }
        Ok(())
    }

    async fn progress(&mut self) -> Cell {
        let played = self.call("sg_progress", json!({"steps": 3})).await?;
        let notes = played.notes("notifications/progress");
        assert!(notes.iter().all(|note| note["progressToken"] == "mine"), "{played:?}");
        let values: Vec<_> = notes.iter().map(|note| note["progress"].as_f64().unwrap()).collect();
        assert_eq!(values, [1.0, 2.0, 3.0], "{played:?}");
        Ok(())
    }

    async fn form(&mut self, action: &str) -> Cell {
        let call = tool("sg_elicit_form", json!({"key": action}));
        let played = good(self.player.play("tools/call", call, |question| answer(question, action)).await)?;
        assert_eq!(played.structured()["action"], action, "{played:?}");
        let content = if action == "accept" { json!({"name": "my name"}) } else { Value::Null };
        assert_eq!(played.structured()["content"], content, "{played:?}");
        assert_eq!(played.asked.len(), 1, "{played:?}");
        assert_eq!(played.asked[0]["params"]["message"], "Who are you?");
        assert_eq!(self.target.stats().await["answers"][action], 1);
        Ok(())
    }

    async fn two_at_once(&mut self) -> Cell {
        let played = self.call("sg_elicit_two", json!({})).await?;
        for name in ["first", "second"] {
            assert_eq!(played.structured()[name]["content"][name], format!("my {name}"), "{played:?}");
        }
        assert_eq!(played.asked.len(), 2, "{played:?}");
        assert!(!self.player.is_modern() || played.rounds == [2], "both in one round: {played:?}");
        Ok(())
    }

    async fn rounds(&mut self) -> Cell {
        let played = self.call("sg_rounds", json!({"rounds": 4})).await?;
        assert_eq!(played.structured()["names"], json!(["my name", "my name", "my name", "my name"]), "{played:?}");
        let asked: Vec<_> = played.asked.iter().map(|asked| asked["params"]["message"].as_str().unwrap()).collect();
        assert_eq!(asked, ["Round 1: who?", "Round 2: who?", "Round 3: who?", "Round 4: who?"]);
        Ok(())
    }

    async fn page(&mut self) -> Cell {
        let played = self.call("sg_elicit_url", json!({"url": "https://example.com/p?a=1&b=%20"})).await?;
        assert_eq!(played.structured()["action"], "accept", "{played:?}");
        let params = &played.asked[0]["params"];
        assert_eq!((&params["mode"], &params["url"]), (&json!("url"), &json!("https://example.com/p?a=1&b=%20")));
        // Ids of pages are of 2025-11-25. Between two modern sides all passes as it is.
        let id = params["elicitationId"].as_str().unwrap_or_default();
        assert_eq!(id.is_empty(), self.player.is_modern(), "{played:?}");
        Ok(())
    }

    /// -32042 of a legacy server, and the question that a modern one puts in its place.
    async fn page_first(&mut self) -> Cell {
        let played = self.player.call("sg_url_required", json!({})).await;
        if played.answer["error"]["code"] == -32042 {
            assert_eq!((self.revision, self.server), ("2025-11-25", "legacy"), "a code of 2025-11-25: {played:?}");
            let page = &played.answer["error"]["data"]["elicitations"][0];
            assert!(page["url"].as_str().unwrap().starts_with("https://example.com/connect/"), "{played:?}");
            assert_eq!(self.call("sg_url_required", json!({})).await?.text(), "the page was visited");
            return Ok(());
        }
        let played = good(played)?;
        assert_eq!(played.text(), "the page was visited", "{played:?}");
        assert_eq!(played.asked[0]["params"]["mode"], "url");
        Ok(())
    }

    async fn sampling(&mut self) -> Cell {
        let played = self.call("sg_sample", json!({"prompt": "Say yes."})).await?;
        assert_eq!(played.text(), "LLM response: yes");
        assert_eq!(played.asked[0]["params"]["messages"][0]["content"]["text"], "Say yes.", "{played:?}");
        Ok(())
    }

    async fn roots(&mut self) -> Cell {
        let played = self.call("sg_roots", json!({})).await?;
        assert_eq!(played.structured()["roots"][0]["uri"], "file:///srv/data", "{played:?}");
        Ok(())
    }

    /// A legacy server of the official SDK logs on its standing stream.
    async fn logging(&mut self) -> Cell {
        let mut standing = match &mut self.player {
            Player::Legacy(client) => {
                let set = client.ask("logging/setLevel", json!({"level": "info"})).await;
                assert!(set.get("result").is_some(), "{set}");
                (self.server == "legacy").then_some(client.listen(None).await)
            }
            Player::Modern(_) => None,
        };
        self.call("sg_log", json!({"count": 3, "level": "debug"})).await?;
        let played = self.call("sg_log", json!({"count": 3, "level": "info"})).await?;
        let mut heard: Vec<Value> =
            played.notes("notifications/message").iter().map(|note| note["data"]["line"].clone()).collect();
        if let Some(standing) = &mut standing {
            for _ in 0..3 {
                heard.push(standing.message("notifications/message").await["params"]["data"]["line"].clone());
            }
        }
        if self.player.is_modern() && self.server == "legacy" {
            assert!([0, 1, 2].starts_with(&heard.iter().map(|line| line.as_i64().unwrap()).collect::<Vec<_>>()));
            return Err(STANDING_LOG.into());
        }
        assert_eq!(heard, [0, 1, 2], "{played:?}");
        if let Player::Modern(client) = &mut self.player {
            let answer = client.call("sg_log", json!({"count": 3, "level": "error"})).await;
            assert!(answer.notes.is_empty(), "it asked for none: {answer:?}");
        }
        Ok(())
    }

    async fn cancellation(&mut self) -> Cell {
        let before = self.target.stats().await;
        let target = &self.target;
        let begun = async || (target.stats().await["calls"] != before["calls"]).then_some(());
        self.player.give_up(tool("sg_wait", json!({"ms": 60_000})), begun).await;
        eventually("the target is told", async || {
            (target.stats().await["cancelled"].as_u64() > before["cancelled"].as_u64()).then_some(())
        })
        .await;
        self.call("sg_echo", json!({})).await.map(drop)
    }

    /// Somebody else changes the tools and a resource.
    async fn changes(&mut self) -> Cell {
        let mut ear = self.player.listen(WATCHED).await;
        let touch = format!("{}/control/touch", self.target.base());
        eventually("somebody watches", async || {
            let answer = reqwest::Client::new().post(&touch).body(WATCHED).send().await.unwrap();
            let told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            (told["told"] != 0).then_some(())
        })
        .await;
        let update = ear.message("notifications/resources/updated").await;
        assert_eq!(update["params"]["uri"], WATCHED, "{update}");
        if self.server == "modern" {
            ModernClient::new(&self.target.url).call("sg_toggle_tool", json!({})).await.result();
        } else {
            Client::ready(&self.target.url, json!({})).await.call("sg_toggle_tool", json!({})).await;
        }
        ear.message("notifications/tools/list_changed").await;
        eventually("the tool is listed", async || {
            let (tools, _) = self.player.list("tools/list", "tools").await;
            tools.iter().any(|tool| tool["name"] == "sg_toggled").then_some(())
        })
        .await;
        assert_eq!(self.call("sg_toggled", json!({})).await?.text(), "switched on");
        Ok(())
    }

    async fn pagination(&mut self) -> Cell {
        let (tools, pages) = self.player.list("tools/list", "tools").await;
        let mut names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert!(pages > 1, "{} tools on {pages} page", names.len());
        assert_eq!(names.iter().filter(|name| name.starts_with("page_")).count(), 250);
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "each once");
        let unknown = self.player.play("tools/list", json!({"cursor": "forged"}), |_| Value::Null).await;
        assert_eq!(unknown.answer["error"]["code"], -32602, "{unknown:?}");
        Ok(())
    }

    async fn errors(&mut self) -> Cell {
        let nobody = |question: &Value| -> Value { panic!("{question}") };
        let unknown = self.player.call("nothing_of_the_kind", json!({})).await;
        assert_eq!((unknown.status, &unknown.answer["error"]["code"]), (200, &json!(-32602)), "{unknown:?}");
        let failed = self.player.call("test_error_handling", json!({})).await;
        assert_eq!(failed.refused().unwrap(), "tool error: This tool intentionally returns an error for testing");
        let read = json!({"uri": "test://nowhere"});
        let missing = self.player.play("resources/read", read, nobody).await.answer["error"].clone();
        let code = if self.player.is_modern() { -32602 } else { -32002 };
        assert_eq!((&missing["code"], &missing["data"]["uri"]), (&json!(code), &json!("test://nowhere")), "{missing}");
        let prompt = json!({"name": "test_prompt_with_arguments", "arguments": {"arg1": "a"}});
        let prompt = self.player.play("prompts/get", prompt, nobody).await;
        assert_eq!(prompt.refused().unwrap(), "-32602 argument arg2 is missing");
        let completion = json!({"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
            "argument": {"name": "arg1", "value": "par"}});
        let completion = good(self.player.play("completion/complete", completion, nobody).await)?;
        assert_eq!(completion.answer["result"]["completion"]["values"], json!(["paris", "park", "party"]));
        let read = json!({"uri": "test://template/7/data"});
        let read = good(self.player.play("resources/read", read, nobody).await)?;
        assert_eq!(read.answer["result"]["contents"][0]["uri"], "test://template/7/data");
        Ok(())
    }
}

async fn matrix(server: &'static str) {
    let (mut seen, mut wrong) = (String::new(), Vec::new());
    for client in CLIENTS {
        let mut scene = scene(client, server).await;
        let cells = [
            ("plain call", scene.plain_call().await),
            ("progress", scene.progress().await),
            ("form accepted", scene.form("accept").await),
            ("form declined", scene.form("decline").await),
            ("form cancelled", scene.form("cancel").await),
            ("two questions at once", scene.two_at_once().await),
            ("several rounds", scene.rounds().await),
            ("URL elicitation", scene.page().await),
            ("-32042", scene.page_first().await),
            ("sampling", scene.sampling().await),
            ("roots", scene.roots().await),
            ("logging", scene.logging().await),
            ("cancellation", scene.cancellation().await),
            ("list change, resource update", scene.changes().await),
            ("pagination", scene.pagination().await),
            ("errors", scene.errors().await),
        ];
        for (feature, cell) in cells {
            let expected =
                REFUSALS.iter().find(|refusal| (refusal.0, refusal.1, refusal.2) == (client, server, feature));
            let line = format!("{client} | {server} | {feature} | {cell:?}\n");
            if cell.as_ref().err().map(String::as_str) != expected.map(|refusal| refusal.3) {
                wrong.push(line.clone());
            }
            seen.push_str(&line);
        }
    }
    println!("{seen}");
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[tokio::test]
async fn every_client_in_front_of_a_legacy_server() {
    matrix("legacy").await;
}

#[tokio::test]
async fn every_client_in_front_of_a_modern_server() {
    matrix("modern").await;
}
