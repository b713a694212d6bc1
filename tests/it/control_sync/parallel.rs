//! Requests that come at the same time.

use futures_util::future::{join, join_all};
use reqwest::StatusCode;
use serde_json::json;

use super::Shop;
use super::offer::{Offer, many};
use crate::control_client::{Control, gateway, target};
use crate::harness::eventually;

const AT_ONCE: usize = 8;

#[tokio::test]
async fn one_token_makes_one_object() {
    let offer = Offer::new(many(1));
    let shop = Shop::open("").await;
    let token = "0123456789-0123456789-0123456789-0123";
    let control = &shop.control;

    let made = gateway("other", json!({"clientToken": token}));
    let answers = join_all((0..AT_ONCE).map(|_| control.send("POST", "/gateways/", Some(&made)))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::ACCEPTED), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body["gatewayId"] == answers[0].body["gatewayId"]), "{answers:?}");
    let listed = control.ok("GET", "/gateways/", None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    let mut made = target("t", &offer.url);
    made["clientToken"] = json!(token);
    let path = shop.targets();
    let answers = join_all((0..AT_ONCE).map(|_| control.send("POST", &path, Some(&made)))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::ACCEPTED), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body["targetId"] == answers[0].body["targetId"]), "{answers:?}");
    let listed = control.ok("GET", &path, None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    control.settled(&shop.path(answers[0].body["targetId"].as_str().unwrap()), "READY").await;
}

#[tokio::test]
async fn one_name_is_given_once() {
    let offer = Offer::new(many(1));
    let shop = Shop::open("").await;
    let control = &shop.control;
    let (gateways, targets) = ("/gateways/".to_owned(), shop.targets());
    for (path, members) in [(gateways, gateway("other", json!({}))), (targets, target("t", &offer.url))] {
        let answers = join_all((0..AT_ONCE).map(|_| control.send("POST", &path, Some(&members)))).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(StatusCode::ACCEPTED), count(StatusCode::CONFLICT)), (1, AT_ONCE - 1), "{answers:?}");
        let conflicts = answers.iter().filter_map(|answer| answer.error.as_deref());
        assert!(conflicts.into_iter().all(|error| error == "ConflictException"));
    }
    // So is a name that several want to have from now on.
    let mut ids = Vec::new();
    for at in 0..4 {
        ids.push(control.target(&shop.id, &format!("t{at}"), &offer.url).await);
    }
    let renamed = target("wanted", &offer.url);
    let answers =
        join_all(ids.iter().map(async |id| control.send("PUT", &shop.path(id), Some(&renamed)).await.status)).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::ACCEPTED).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::CONFLICT).count(), 3, "{answers:?}");
}

#[tokio::test]
async fn a_target_is_synchronised_once_at_a_time() {
    let offer = Offer::new(many(1));
    let shop = Shop::open("").await;
    let id = shop.target(&offer).await;
    offer.is_silent(true);
    let answers = join_all((0..AT_ONCE).map(|_| shop.synchronise(&id))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(StatusCode::ACCEPTED), count(StatusCode::CONFLICT)), (1, AT_ONCE - 1), "{answers:?}");
}

#[tokio::test]
async fn a_gateway_that_is_deleted_leaves_no_target_behind() {
    let offer = Offer::new(many(1));
    let control = Control::new("", "");
    let mut program = control.start();
    let mut left = 0;
    for round in 0..AT_ONCE {
        let id = control.gateway(&format!("shop{round}"), json!({})).await;
        let (path, targets) = (format!("/gateways/{id}/"), format!("/gateways/{id}/targets/"));
        let made = target("t", &offer.url);
        let (delete, create) = (control.send("DELETE", &path, None), control.send("POST", &targets, Some(&made)));
        // Now the one is first on its way, now the other.
        let (deleted, created) = match round % 2 {
            0 => join(delete, create).await,
            _ => {
                let (created, deleted) = join(create, delete).await;
                (deleted, created)
            }
        };
        match (deleted.status.is_success(), created.status.is_success()) {
            (true, false) => {
                assert!([StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&created.status), "{created:?}");
                eventually("the gateway is gone", async || {
                    (control.send("GET", &path, None).await.status == StatusCode::NOT_FOUND).then_some(())
                })
                .await;
                assert_eq!(control.send("GET", &targets, None).await.status, StatusCode::NOT_FOUND);
            }
            (false, true) => {
                assert_eq!(deleted.status, StatusCode::CONFLICT, "{deleted:?}");
                let target = created.body["targetId"].as_str().unwrap();
                control.settled(&format!("{targets}{target}/"), "READY").await;
                assert_eq!(control.ok("GET", &path, None).await["status"], "READY");
                left += 1;
            }
            _ => panic!("{deleted:?} {created:?}"),
        }
    }
    // So it is stored.
    program.kill();
    let _program = control.start();
    let listed = control.ok("GET", "/gateways/", None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), left);
    for gateway in listed["items"].as_array().unwrap() {
        let targets = format!("/gateways/{}/targets/", gateway["gatewayId"].as_str().unwrap());
        let listed = control.ok("GET", &targets, None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        assert_eq!(listed["items"][0]["status"], "READY");
    }
}
