//! What clients are told of failures that are not their own.

use serde_json::{Value, json};

use crate::either::{ERAS, Either};
use crate::harness::{Home, eventually, http_target, reference_server};
use crate::scripted::{Reply, Scripted, result, text};

/// A target that fails in each way that the gateway has to put into words itself.
fn broken() -> Scripted {
    Scripted::named(&["garbage", "fails", "refuses", "slow"], |tool, request| match tool {
        "garbage" => {
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nsecret".into())
        }
        "slow" => Reply::Hang(crate::scripted::SSE.to_vec()),
        "fails" => Reply::Json(result(request, r#"{"content":[{"type":"text","text":"its own"}],"isError":true}"#)),
        "refuses" => Reply::Json(format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-31999,"message":"its own","data":{{"x":1}}}}}}"#,
            request.body["id"]
        )),
        _ => text(request, "?"),
    })
}

#[tokio::test]
async fn a_failed_target_is_told_as_the_gateway_says() {
    for (level, general) in [("", false), ("exception_level: debug", false), ("exception_level: general", true)] {
        for server in ["legacy", "modern"] {
            let (home, mut dead, odd) = (Home::new(), reference_server(&["--era", server]), broken());
            let targets = http_target("dead", &dead.url, "") + &http_target("odd", &odd.url, "timeout: 1s");
            let gateway = home.configured(&format!("{level}\ntargets:\n{targets}"));
            dead.kill();
            for era in ERAS {
                let mut client = Either::new(era, &gateway.url).await;
                let what = format!("{level} {server} {era}");
                for tool in ["dead___sg_echo", "odd___garbage", "odd___slow"] {
                    let answer = client.call(tool, json!({})).await;
                    let result = &answer["result"];
                    assert_eq!(result["isError"], true, "{what} {tool}: {answer}");
                    let said = result["content"][0]["text"].as_str().unwrap();
                    let target = format!("target `{}`", tool.split_once("___").unwrap().0);
                    if general {
                        // 2026-07-28 has the server's name there, on every result.
                        let meta = result["_meta"].as_object().cloned().unwrap_or_default();
                        assert!(
                            !meta.keys().any(|key| !key.starts_with("io.modelcontextprotocol/")),
                            "{what}: {answer}"
                        );
                        assert!(!answer.to_string().contains(&target), "{what}: {answer}");
                        let reference = reference(said);
                        let line = eventually("a line of the log", async || {
                            let log = gateway.log();
                            log.lines().find(|line| line.contains(reference)).map(str::to_owned)
                        });
                        let line = line.await;
                        assert!(line.contains(tool.split_once("___").unwrap().0), "{line}");
                    } else {
                        assert!(said.contains(&target), "{what}: {answer}");
                        assert_eq!(result["_meta"]["debug"], json!({"type": "text", "text": said}), "{what}: {answer}");
                    }
                }
                let name = "dead___test_simple_prompt";
                let error = client.ask("prompts/get", json!({"name": name})).await["error"].clone();
                assert_eq!(error["code"], -32603, "{what}: {error}");
                let said = error["message"].as_str().unwrap();
                assert_eq!(said.contains("target `dead`"), !general, "{what}: {error}");
                if general {
                    let expected = json!({"reason": "internal_error", "reference": reference(said)});
                    assert_eq!(error["data"], expected, "{what}");
                }
                untouched(&mut client).await;
            }
        }
    }
}

/// What a target says itself, and what is wrong with a request, is told under every level.
async fn untouched(client: &mut Either) {
    let failed = client.call("odd___fails", json!({})).await;
    assert_eq!(failed["result"]["content"], json!([{"type": "text", "text": "its own"}]), "{failed}");
    assert_eq!(failed["result"]["isError"], true);
    assert_eq!(failed["result"]["_meta"].get("debug"), None);
    let refused = client.call("odd___refuses", json!({})).await;
    assert_eq!(refused["error"], json!({"code": -31999, "message": "its own", "data": {"x": 1}}), "{refused}");
    let unknown = client.call("odd___nothing", json!({})).await;
    assert!(unknown["error"]["message"].as_str().unwrap().contains("odd___nothing"), "{unknown}");
}

/// The sixteen digits that lead to the log.
fn reference(text: &str) -> &str {
    let at = text.find('(').unwrap_or_else(|| panic!("{text}"));
    let reference = &text[at + 1..text.len() - 1];
    assert!(reference.len() == 16 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
    assert!(text.contains("internal error"));
    reference
}

#[tokio::test]
async fn a_gateway_of_the_control_plane_says_what_its_level_says() {
    use crate::control_client::Control;
    let control = Control::new("", "");
    let program = control.start();
    for (level, general) in [(json!({}), false), (json!({"exceptionLevel": Value::Null}), true)] {
        let mut dead = reference_server(&[]);
        let mut members = crate::control_client::gateway(if general { "general" } else { "debug" }, level);
        members.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let created = control.ok("POST", "/gateways/", Some(&members)).await;
        let id = created["gatewayId"].as_str().unwrap();
        control.settled(&format!("/gateways/{id}/"), "READY").await;
        control.target(id, "dead", &dead.url).await;
        dead.kill();
        let url = created["gatewayUrl"].as_str().unwrap();
        for era in ERAS {
            let mut client = Either::new(era, url).await;
            let answer = client.call("dead___sg_echo", json!({})).await;
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            assert_eq!(answer.to_string().contains("target `dead`"), !general, "{era}: {answer}");
        }
    }
    drop(program);
}
