use clap::CommandFactory;

use super::*;

fn parse(line: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("sessiongate").chain(line.iter().copied()))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn serve_takes_a_file_or_targets() {
    let Command::Serve(serve) = parse(&["serve", "--config", "g.yaml"]).unwrap().command else { panic!() };
    assert_eq!(serve.source.file(), Some(std::path::Path::new("g.yaml")));
    let line = ["serve", "--target", "a=http://h/mcp", "--target", "b=stdio:x y", "--listen", "localhost:0", "-v"];
    let cli = parse(&line).unwrap();
    assert_eq!(cli.level(), Some("debug"));
    let Command::Serve(serve) = cli.command else { panic!() };
    let config = serve.source.load().unwrap();
    assert_eq!((config.gateways[0].targets.len(), config.listen.port()), (2, 0));
    assert!(parse(&["serve"]).unwrap_err().to_string().contains("--config"));
    assert!(parse(&["serve", "--target", "a=http://h", "--listen", "8080"]).is_err());
    // What would be ignored is refused.
    assert!(parse(&["serve", "--config", "g.yaml", "--target", "a=http://h"]).is_err());
    assert!(parse(&["serve", "--config", "g.yaml", "--path", "/mcp"]).is_err());
}

#[test]
fn flags_win_over_the_file_and_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    std::fs::write(&file, "gateways: [{name: a, targets: [{name: t, mcp: {command: x}}]}]").unwrap();
    let name = file.to_str().unwrap();
    let Command::Check(check) = parse(&["check", "-c", name, "--data-dir", "/elsewhere"]).unwrap().command else {
        panic!()
    };
    assert_eq!(check.source.load().unwrap().data_dir, PathBuf::from("/elsewhere"));
    let servers = folder.path().join("mcp.json");
    std::fs::write(&servers, "{\n oops").unwrap();
    let name = servers.to_str().unwrap();
    let Command::Serve(serve) = parse(&["serve", "--mcp-servers", name]).unwrap().command else { panic!() };
    let errors = serve.source.load().unwrap_err().to_string();
    assert!(errors.starts_with(&format!("{name}:2:")), "{errors}");
}

#[test]
fn call_hides_secrets() {
    let line = ["call", "http://h/mcp?key=q", "add", "--arg", "a=1=2", "--header", "X-Key: sesame", "--bearer", "open"];
    let Command::Call(call) = parse(&line).unwrap().command else { panic!() };
    assert_eq!(call.args, [("a".to_owned(), "1=2".to_owned())]);
    assert_eq!(call.connect.headers[0].1.expose(), "sesame");
    let shown = format!("{call:?}");
    assert!(!shown.contains("sesame") && !shown.contains("open") && !shown.contains("key=q"), "{shown}");
    assert!(parse(&["call", "http://h/mcp", "add", "--arg", "a"]).is_err());
}

#[test]
fn sessions_lists_by_default() {
    let Command::Sessions(sessions) = parse(&["sessions"]).unwrap().command else { panic!() };
    assert_eq!(sessions.command, None);
    let line = ["sessions", "end", "abc", "--data-dir", "elsewhere", "--output", "json"];
    let Command::Sessions(sessions) = parse(&line).unwrap().command else { panic!() };
    assert_eq!(sessions.command, Some(SessionsCommand::End { key: "abc".to_owned() }));
    assert_eq!(sessions.output, OutputFormat::Json);
}

#[test]
fn every_command_has_help() {
    for command in Cli::command().get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        assert!(command.get_about().is_some(), "{help}");
        for inner in command.get_subcommands() {
            assert!(inner.get_about().is_some(), "{} in {help}", inner.get_name());
        }
    }
}

#[test]
fn the_era_is_found_out_unless_it_is_said() {
    let era = |more: &[&str]| {
        let line = [&["ls", "http://h/mcp"][..], more].concat();
        let Command::Ls(ls) = parse(&line)?.command else { panic!() };
        Ok::<_, clap::Error>(ls.connect.era)
    };
    assert_eq!(era(&[]).unwrap(), Era::Auto);
    assert_eq!(era(&["--era", "legacy"]).unwrap(), Era::Legacy);
    assert_eq!(era(&["--era", "modern"]).unwrap(), Era::Modern);
    assert!(era(&["--era", "2026-07-28"]).unwrap_err().to_string().contains("modern"));
}

#[test]
fn the_control_plane_is_named_before_or_after_what_to_do() {
    let lines = [
        ["gateway", "--config", "g.yaml", "--output", "json", "list"],
        ["gateway", "list", "--config", "g.yaml", "--output", "json"],
    ];
    for line in lines {
        let Command::Gateway(gateway) = parse(&line).unwrap().command else { panic!() };
        assert_eq!(gateway.access.asked().config, Some(PathBuf::from("g.yaml")));
        assert_eq!(gateway.output, OutputFormat::Json);
    }
    let Command::Target(target) = parse(&["target", "sync", "shop", "cart", "--wait"]).unwrap().command else {
        panic!()
    };
    let target::TargetCommand::Sync { target, wait } = target.command else { panic!() };
    assert_eq!((&*target.gateway, &*target.target), ("shop", "cart"));
    assert_eq!(wait.limit(), Some(Duration::from_secs(300)));
    assert!(parse(&["gateway", "create", "shop", "--sessions", "long"]).unwrap_err().to_string().contains("or off"));
    assert!(parse(&["gateway", "create", "shop", "--authorizer", "oauth"]).is_err());
    assert!(parse(&["target", "create", "shop"]).is_err());
    assert!(parse(&["gateway"]).is_err() && parse(&["target"]).is_err());
}
