use super::super::load::parse;
use super::*;

const CLAUDE: &str = r#"{
  "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "server-filesystem", "/data"], "env": {"LOG": "debug", "DEPTH": 3}},
    "My GitHub!": {
      "type": "http",
      "url": "https://api.example/mcp",
      "headers": {"Authorization": "Bearer ghp_sesame", "X-Team": "cart"}
    },
    "old": {"type": "sse", "url": "http://127.0.0.1:1/sse"},
    "off": {"command": "x", "disabled": true}
  },
  "globalShortcut": "Ctrl+Space"
}"#;

const VSCODE: &str = r#"{
  // VS Code keeps comments
  "inputs": [{"id": "api-key", "type": "promptString", "password": true}],
  "servers": {
    "db": {
      "type": "stdio",
      "command": "db-server",
      "args": ["--cost", "5$", "--var=${env:DB_HOST}"],
      "env": {"API_KEY": "${input:api-key}", "PGPASSWORD": "pa$$word"},
      "cwd": "${userHome}/db",
    },
  },
}"#;

fn lookup(name: &str) -> Option<String> {
    match name {
        "DB_HOST" => Some("db.example".to_owned()),
        "API_KEY" => Some("k".to_owned()),
        "HOME" => Some("/home/me".to_owned()),
        _ => None,
    }
}

#[test]
fn claude_desktop() {
    let import = read(CLAUDE).unwrap();
    assert_eq!(import.notes.len(), 2, "{:?}", import.notes);
    let targets = import.to_targets(&lookup).unwrap();
    let mut names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["My-GitHub", "files", "old"]);
    let find = |name: &str| targets.iter().find(|target| target.name == name).map(|target| &target.mcp);
    let Some(McpConfig::Stdio(files)) = find("files") else { panic!("{targets:?}") };
    assert_eq!((files.command.as_str(), files.args.len(), files.env["DEPTH"].expose()), ("npx", 3, "3"));
    let Some(McpConfig::Http(github)) = find("My-GitHub") else { panic!("{targets:?}") };
    assert_eq!(github.headers["Authorization"].expose(), "Bearer ghp_sesame");
    assert_eq!(github.transport, Transport::StreamableHttp);
    let Some(McpConfig::Http(old)) = find("old") else { panic!("{targets:?}") };
    assert_eq!(old.transport, Transport::Sse);
}

#[test]
fn vs_code() {
    let targets = read(VSCODE).unwrap().to_targets(&lookup).unwrap();
    let McpConfig::Stdio(db) = &targets[0].mcp else { panic!("{targets:?}") };
    assert_eq!(db.args, ["--cost", "5$", "--var=db.example"]);
    assert_eq!(db.env["API_KEY"].expose(), "k");
    assert_eq!(db.env["PGPASSWORD"].expose(), "pa$$word");
    assert_eq!(db.cwd.as_deref(), Some(std::path::Path::new("/home/me/db")));
}

#[test]
fn a_missing_variable_is_named_with_its_key() {
    let errors = read(VSCODE).unwrap().to_targets(&|_| None).unwrap_err().to_string();
    for part in ["servers.db.env.API_KEY: the environment variable `API_KEY` is not set", "`DB_HOST`"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn the_yaml_hides_secrets_and_loads() {
    let yaml = read(CLAUDE).unwrap().to_yaml(false).unwrap();
    assert!(!yaml.text.contains("sesame"), "{}", yaml.text);
    let [(variable, place)] = &yaml.variables[..] else { panic!("{:?}", yaml.variables) };
    assert_eq!(
        (variable.as_str(), place.as_str()),
        ("MY_GITHUB_AUTHORIZATION", "mcpServers.My GitHub!.headers.Authorization")
    );
    let indented: String = yaml.text.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("gateways:\n  - name: a\n{indented}");
    let config = parse("out.yaml", &text, &|name| (name == variable).then(|| "ghp_sesame".to_owned())).unwrap();
    let mut direct = read(CLAUDE).unwrap().to_targets(&lookup).unwrap();
    direct.sort_by(|one, other| one.name.cmp(&other.name));
    let mut through = config.gateways[0].targets.clone();
    through.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(through, direct);
}

#[test]
fn the_yaml_can_keep_secrets() {
    let yaml = read(CLAUDE).unwrap().to_yaml(true).unwrap();
    assert!(yaml.text.contains("Bearer ghp_sesame") && yaml.variables.is_empty(), "{}", yaml.text);
}

#[test]
fn bad_files() {
    for (text, parts) in [
        ("{", &["not valid JSON"][..]),
        ("{}", &["neither `mcpServers` nor `servers`"]),
        (r#"{"mcpServers": {}}"#, &["no server that is enabled"]),
        (r#"{"mcpServers": {"a": {"command": "x", "url": "http://h"}}}"#, &["mcpServers.a: has both"]),
        (r#"{"mcpServers": {"a": {}, "!": {"command": "x"}}}"#, &["mcpServers.a: has neither", "no letter or digit"]),
        (
            r#"{"mcpServers": {"a b": {"command": "x"}, "a.b": {"command": "y"}}}"#,
            &["would be called `a-b` like another"],
        ),
        (
            r#"{"mcpServers": {"a": {"command": "x", "args": "y"}}}"#,
            &["mcpServers.a: is not a server entry: `args` has the wrong type"],
        ),
        (
            r#"{"servers": {"a": {"command": "x", "cwd": "${workspaceFolder}"}}}"#,
            &["servers.a.cwd: `${workspaceFolder}`"],
        ),
    ] {
        let errors = read(text).map(|_| ()).unwrap_err().to_string();
        for part in parts {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }
    let errors = read(r#"{"servers": {"a": {"url": "h:1"}}}"#).unwrap().to_targets(&lookup).unwrap_err().to_string();
    assert!(errors.contains("servers.a.url: is not an http"), "{errors}");
}
