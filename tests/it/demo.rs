//! The README's first minutes: the demo, and the terminal client in front of it.

use std::process::Command;

use crate::harness::Program;

fn sessiongate(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sessiongate")).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

#[test]
fn the_demo_runs_and_can_be_called() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
    let demo = Program::start(command).expect("the demo starts");
    let (code, text) = sessiongate(&["ls", &demo.url]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("order_tea") && text.contains("brew") && text.contains("pay"), "{text}");
    let (code, text) = sessiongate(&["call", &demo.url, "order_tea", "--yes"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = sessiongate(&["call", &demo.url, "nothing_like_it"]);
    assert_eq!(code, 2, "{text}");
}
