//! Discovery documents and key sets that are too large or never come, and issuers that are down: the gateway reads no more
//! than it must, waits no longer than it says, asks no more often than it may, and serves everybody else meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::RETRY_AFTER;
use serde_json::json;

use crate::auth_documents::{OPEN, WELL_KNOWN, authorizer, document, initialize, logged, numbered, refused, write};
use crate::harness::{Home, Program, eventually};
use crate::issuer::{Issuer, ready};
use crate::scripted::{Reply, Scripted};

/// What may be taken of a document that never ends, in bytes: 256 KiB are read, and the sockets hold some more.
const TAKEN: u64 = 8 << 20;
/// What the gateway may grow by meanwhile, in KiB.
const GROWTH: u64 = 50 * 1024;

/// Asks a gateway again and again; how often until `done`.
async fn neighbour(url: String, token: String, mut done: tokio::sync::oneshot::Receiver<()>) -> usize {
    let mut client = ready(&url, &token).await;
    for served in 0.. {
        assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
        if done.try_recv().is_ok() {
            return served;
        }
    }
    unreachable!()
}

/// 31 million blanks in gzip: 195 kB, small enough to be read whole.
fn bomb() -> Vec<u8> {
    const MATCHES: usize = 120_000;
    let mut bits: Vec<bool> = Vec::new();
    let mut code = |text: &str| bits.extend(text.chars().map(|bit| bit == '1'));
    // RFC 1951: the last block, with the fixed codes, and a blank;
    code("1");
    code("10");
    code("01010000");
    for _ in 0..MATCHES {
        // then 258 bytes as the one before, again and again; and the end.
        code("11000101");
        code("00000");
    }
    code("0000000");
    let packed = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |packed, bit| packed << 1 | u8::from(*bit)));
    // RFC 1952. What it should add up to, nobody gets to.
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255].into_iter().chain(packed).chain([0; 8]).collect()
}

/// Replies that nobody should read whole: the name, what of it, and what the operator is told.
fn endless() -> [(&'static str, Reply, &'static str); 4] {
    const TOO_LARGE: &str = "the document has more than 262144 bytes";
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}\r\n").into_bytes();
    let (blanks, bomb) = (vec![b' '; 1 << 16], bomb());
    let chunk = [b"10000\r\n", &blanks[..], b"\r\n"].concat();
    let zipped = head(&format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len()));
    [
        ("announced", Reply::Endless(head("content-length: 1073741824\r\n"), blanks.clone()), TOO_LARGE),
        ("unannounced", Reply::Endless(head(""), blanks), TOO_LARGE),
        ("chunked", Reply::Endless(head("transfer-encoding: chunked\r\n"), chunk), TOO_LARGE),
        // It is taken for what it is, and not unpacked.
        ("zipped", Reply::Raw([zipped, bomb].concat()), ": not "),
    ]
}

/// Documents that go wrong, and keys that do, and one issuer that is right: the gateways in this order, with their
/// names.
async fn wrong_documents(
    home: &Home,
    replies: &'static (dyn Fn() -> Vec<Reply> + Sync),
) -> (Scripted, Vec<String>, Vec<String>, Issuer) {
    let cases = replies().len();
    let issuer = Scripted::raw(move |request| {
        let base = format!("http://{}", request.headers["host"]);
        assert!(!request.headers.contains_key("accept-encoding"), "a body that is unpacked could not be bounded");
        match numbered(request) {
            (at, WELL_KNOWN) if at < cases => replies().swap_remove(at),
            (at, WELL_KNOWN) => document(&format!("{base}/{at}"), &format!("{base}/{at}/keys")),
            (at, _) => replies().swap_remove(at - cases),
        }
    });
    let good = Issuer::start().await;
    let base = issuer.url.trim_end_matches("/mcp");
    let names: Vec<String> = (0..cases * 2).map(|at| format!("{base}/{at}")).collect();
    let mut authorizers: Vec<String> = names.iter().map(|name| authorizer(&format!("{name}{WELL_KNOWN}"))).collect();
    authorizers.push(good.authorizer(""));
    let gateways = write(home, OPEN, &authorizers);
    (issuer, names, gateways, good)
}

/// The most memory that it ever had, in KiB.
fn peak(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn of_a_gigabyte_little_is_read_and_others_are_served_meanwhile() {
    let home = Home::new();
    let (issuer, names, gateways, good) =
        wrong_documents(&home, &|| endless().into_iter().map(|(_, reply, _)| reply).collect()).await;
    let program = home.again();
    let right = gateways.last().unwrap().clone();
    assert_eq!(initialize(&right, &good.token("ada")).await.status, 200);
    let before = peak(&program);
    let (finish, finished) = tokio::sync::oneshot::channel();
    let other = tokio::spawn(neighbour(right, good.token("bob"), finished));
    for (at, name) in names.iter().enumerate() {
        let (what, _, why) = &endless()[at % 4];
        let taken = issuer.written();
        refused(&gateways[at], &good.token_with(&json!({"iss": name}))).await;
        let mut last = None;
        eventually("nothing more is taken", async || {
            let now = Some(issuer.written());
            (std::mem::replace(&mut last, now) == now).then_some(())
        })
        .await;
        let taken = issuer.written() - taken;
        assert!(taken < TAKEN, "{what}: {taken} bytes were taken");
        logged(&program, &format!("/{at}{WELL_KNOWN}"), why).await;
    }
    finish.send(()).unwrap();
    assert!(other.await.unwrap() > 10, "the neighbour waited");
    let grown = peak(&program) - before;
    assert!(grown < GROWTH, "{grown} KiB more");
}

/// It lasts as long as the deadline, ten seconds: no key of the configuration makes that shorter.
#[tokio::test]
async fn documents_that_drip_are_given_up_at_the_deadline_and_hold_nobody_up() {
    fn replies() -> Vec<Reply> {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
        let header = b"HTTP/1.1 200 OK\r\nx-drop: ".to_vec();
        let pause = Duration::from_millis(100);
        vec![
            Reply::Drip(head, b" ".to_vec(), pause),
            Reply::Drip(header, b"x".to_vec(), pause),
            Reply::Hang(Vec::new()),
        ]
    }
    let home = Home::new();
    let (issuer, names, gateways, good) = wrong_documents(&home, &replies).await;
    let program = home.again();
    let right = gateways.last().unwrap().clone();
    assert_eq!(initialize(&right, &good.token("ada")).await.status, 200);
    let (finish, finished) = tokio::sync::oneshot::channel();
    let other = tokio::spawn(neighbour(right, good.token("bob"), finished));
    // Several wait for each document: it is fetched once.
    let tokens: Vec<String> = names.iter().map(|name| good.token_with(&json!({"iss": name}))).collect();
    let waiting = (0..names.len() * 8).map(|at| at % names.len()).map(|at| refused(&gateways[at], &tokens[at]));
    join_all(waiting).await;
    for at in 0..names.len() {
        logged(&program, &format!("/{at}{WELL_KNOWN}"), "did not arrive within 10s").await;
    }
    assert!(issuer.written() > 100, "it dripped all the time");
    eventually("the connections are closed", async || (issuer.hanging() == 0).then_some(())).await;
    assert_eq!(issuer.seen().len(), names.len() + names.len() / 2, "a request for each document");
    finish.send(()).unwrap();
    assert!(other.await.unwrap() > 50, "the neighbour waited");
}

#[tokio::test]
async fn unknown_keys_do_not_become_a_flood_while_the_issuer_is_down() {
    let (home, known, new) = (Home::new(), Issuer::start().await, Issuer::start().await);
    let gateways = write(&home, OPEN, &[known.authorizer(""), new.authorizer("")]);
    let _program = home.again();
    assert_eq!(initialize(&gateways[0], &known.token("ada")).await.status, 200);
    known.goes_down();
    new.goes_down();
    let began = std::time::Instant::now();
    // In waves: those of one may share a fetch. In each, one token by a known key that was never seen.
    let flood = async |url: &str, issuer: &Issuer| {
        let mut all = Vec::new();
        for wave in 0..20 {
            let unknown =
                (0..9).map(|at| issuer.signed(&json!({"alg": "ES256", "kid": format!("k-{wave}-{at}")}), &json!({})));
            let tokens = std::iter::once(issuer.token(&format!("somebody-{wave}"))).chain(unknown);
            all.extend(join_all(tokens.map(|token| async move { initialize(url, &token).await })).await);
        }
        all
    };
    for (at, told) in flood(&gateways[0], &known).await.iter().enumerate() {
        if at % 10 == 0 {
            assert_eq!(told.status, 200, "the keys that are there go on: {told:?}");
        } else {
            // The key may be one that the issuer has made since.
            assert_eq!((told.status, told.headers.contains_key(RETRY_AFTER)), (503, true), "{told:?}");
        }
    }
    // The document and the keys, when they were there, and one look for new ones.
    assert!(known.asked() <= 3, "{}", known.asked());
    // Where nothing was ever known, nobody can say that a key is not.
    for told in flood(&gateways[1], &new).await {
        assert_eq!((told.status, told.headers.contains_key(RETRY_AFTER)), (503, true), "{told:?}");
    }
    // At once, then after pauses that begin with a second and grow.
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(new.asked() <= 2 + seconds, "{} times in {seconds} s", new.asked());
}
