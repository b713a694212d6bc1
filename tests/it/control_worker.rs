//! What the control plane does for one caller does not wait for another's, and how many callers there may be at once.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::client::LIMIT;
use crate::control_client::{Control, target};
use crate::harness::{eventually, reference_server};
use crate::scripted::{Reply, Scripted};

/// Connections that the control plane has at once.
const CONNECTIONS: usize = 256;

#[tokio::test]
async fn slow_targets_of_one_gateway_hold_up_no_other_gateway() {
    const SLOW: usize = 100;
    let (good, slow) = (reference_server(&[]), Scripted::raw(|_| Reply::Hang(Vec::new())));
    let control = Control::new("", "");
    control.configure("quotas: {", "quotas: {concurrent_target_operations: 100, ");
    let _program = control.start();
    let id = control.gateway("slow", json!({})).await;
    let targets = format!("/gateways/{id}/targets/");
    for at in 0..SLOW {
        control.ok("POST", &targets, Some(&target(&format!("t{at}"), &slow.url))).await;
    }
    // All at once: one that had to wait for another would hold up what comes after it.
    eventually("all are waited for", async || (slow.hanging() == SLOW).then_some(())).await;

    let other = control.gateway("other", json!({})).await;
    let made = control.target(&other, "ref", &good.url).await;
    let synchronise = json!({"targetIdList": [made]});
    control.ok("PUT", &format!("/gateways/{other}/synchronizeTargets"), Some(&synchronise)).await;
    let path = format!("/gateways/{other}/targets/{made}/");
    control.settled(&path, "READY").await;
    control.ok("PUT", &path, Some(&target("renamed", &good.url))).await;
    control.settled(&path, "READY").await;
    assert_eq!(slow.hanging(), SLOW, "they still wait");
}

/// A connection with requests on it: signed ones, the others end it.
struct Connection(TcpStream);

impl Connection {
    fn open(control: &Control) -> Self {
        let stream = TcpStream::connect(control.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(stream)
    }

    fn ask(&mut self, control: &Control) {
        self.0.write_all(control.text("GET", "/gateways/", "").as_bytes()).unwrap();
    }

    /// Reads one answer to its end.
    fn answer(&mut self) {
        let (mut read, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                assert!(head.starts_with("http/1.1 200"), "{text}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() >= length.parse::<usize>().unwrap() {
                    return;
                }
            }
            let count = self.0.read(&mut piece).expect("an answer in time");
            assert_ne!(count, 0, "it is closed after {text}");
            read.extend_from_slice(&piece[..count]);
        }
    }

    /// Nothing has come yet.
    fn waits(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let peeked = self.0.peek(&mut [0]).map_err(|error| error.kind());
        self.0.set_nonblocking(false).unwrap();
        peeked == Err(ErrorKind::WouldBlock)
    }
}

#[test]
fn more_connections_than_there_may_be_wait_for_one_to_end() {
    let control = Control::new("", "");
    let _program = control.start();
    let mut held: Vec<Connection> = (0..CONNECTIONS).map(|_| Connection::open(&control)).collect();
    for connection in &mut held {
        connection.ask(&control);
        connection.answer();
    }
    let mut late = [Connection::open(&control), Connection::open(&control)];
    late.iter_mut().for_each(|connection| connection.ask(&control));
    // Those that are there are served on, each of them again: long enough to take another one, if it did.
    for connection in &mut held {
        connection.ask(&control);
        connection.answer();
        assert!(late.iter().all(Connection::waits));
    }
    held.pop();
    late[0].answer();
    assert!(late[1].waits());
    late[0].ask(&control);
    late[0].answer();
    assert!(late[1].waits());
    held.pop();
    late[1].answer();
}
