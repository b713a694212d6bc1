//! Targets from an `mcpServers` file: Claude Desktop, Claude Code, Cursor (`mcpServers`) and VS Code (`servers`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{ConfigError, ConfigErrors, KeyPath};
use super::expand::{Lookup, expand, is_name, process_env};
use super::model::{HttpTarget, McpConfig, StdioTarget, TargetConfig, Transport};
use super::secret::Secret;
use super::validate::is_target_name;

mod json;

/// What a file holds, references not expanded.
#[derive(Clone, Default)]
pub struct Import {
    servers: Vec<Server>,
    /// What was changed or left out, for people.
    pub notes: Vec<String>,
}

/// The targets as YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yaml {
    /// A `targets:` list.
    pub text: String,
    /// Variables that stand for what looked like a secret in the file, with the place each came from.
    pub variables: Vec<(String, String)>,
}

/// One server; its texts are templates with `${NAME}`.
#[derive(Clone)]
struct Server {
    name: String,
    key: KeyPath,
    kind: ServerKind,
}

#[derive(Clone)]
enum ServerKind {
    Http { url: String, headers: BTreeMap<String, String>, transport: Transport },
    Stdio { command: String, args: Vec<String>, env: BTreeMap<String, String>, cwd: Option<String> },
}

/// A server as it stands in the file; clients add keys of their own, which say nothing to us.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "type", alias = "transport")]
    kind: Option<String>,
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    cwd: Option<String>,
    env_file: Option<String>,
    #[serde(alias = "serverUrl", alias = "httpUrl")]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    disabled: bool,
}

/// Reads a file and expands its references from the process environment.
pub fn from_mcp_servers(text: &str) -> Result<Vec<TargetConfig>, ConfigErrors> {
    read(text)?.to_targets(&process_env)
}

/// Reads a file. Comments and trailing commas, which VS Code writes, are allowed.
pub fn read(text: &str) -> Result<Import, ConfigErrors> {
    let value = json::parse(text)?;
    let (outer, servers) = ["mcpServers", "servers"]
        .into_iter()
        .find_map(|outer| Some((KeyPath::default().key(outer), value.get(outer)?.as_object()?)))
        .or_else(|| {
            // VS Code's settings.json keeps them one level deeper.
            let servers = value.get("mcp")?.get("servers")?.as_object()?;
            Some((KeyPath::default().key("mcp").key("servers"), servers))
        })
        .ok_or_else(|| {
            ConfigError::general("has neither `mcpServers` nor `servers`")
                .remedy("give the file in which a client lists its servers")
        })?;
    let mut import = Import::default();
    let mut errors = Vec::new();
    for (name, written) in servers {
        let key = outer.key(name);
        match serde_path_to_error::deserialize::<_, Written>(written) {
            Ok(written) => import.server(name, &key, written, &mut errors),
            // Only the path: the message may quote a secret.
            Err(error) => errors
                .push(ConfigError::at(key, format!("is not a server entry: `{}` has the wrong type", error.path()))),
        }
    }
    if errors.is_empty() && import.servers.is_empty() {
        errors.push(ConfigError::at(outer, "lists no server that is enabled"));
    }
    if errors.is_empty() { Ok(import) } else { Err(ConfigErrors(errors)) }
}

// === impl Import ===

impl Import {
    fn server(&mut self, name: &str, key: &KeyPath, written: Written, errors: &mut Vec<ConfigError>) {
        if written.disabled {
            self.notes.push(format!("`{name}` is disabled in the file and was left out"));
            return;
        }
        if written.env_file.is_some() {
            self.notes.push(format!("`{name}` has an envFile, which is not read: set its variables yourself"));
        }
        let target = target_name(name);
        if target != name {
            self.notes.push(format!("`{name}` is called `{target}` here"));
        }
        if !is_target_name(&target) {
            errors.push(ConfigError::at(key.clone(), "has no letter or digit in its name").remedy("rename it"));
            return;
        }
        if self.servers.iter().any(|server| server.name == target) {
            errors.push(
                ConfigError::at(key.clone(), format!("would be called `{target}` like another one"))
                    .remedy("rename it"),
            );
            return;
        }
        let mut texts = Templates { key, errors };
        let kind = match (written.command, written.url) {
            (Some(command), None) => ServerKind::Stdio {
                command: texts.one("command", &command),
                args: written.args.iter().map(|arg| texts.one("args", arg)).collect(),
                env: texts.all("env", written.env.into_iter().map(|(name, value)| (name, plain_text(value)))),
                cwd: written.cwd.map(|cwd| texts.one("cwd", &cwd)),
            },
            (None, Some(url)) => ServerKind::Http {
                url: texts.one("url", &url),
                headers: texts.all("headers", written.headers.into_iter()),
                transport: match written.kind.as_deref() {
                    Some("sse") => Transport::Sse,
                    Some("http" | "streamable-http" | "streamableHttp" | "streamable_http") => {
                        Transport::StreamableHttp
                    }
                    _ => Transport::Auto,
                },
            },
            (both, _) => {
                let message =
                    if both.is_some() { "has both `command` and `url`" } else { "has neither `command` nor `url`" };
                errors.push(ConfigError::at(key.clone(), message).remedy("give one of them"));
                return;
            }
        };
        self.servers.push(Server { name: target, key: key.clone(), kind });
    }

    /// The targets, references expanded.
    pub fn to_targets(&self, lookup: Lookup<'_>) -> Result<Vec<TargetConfig>, ConfigErrors> {
        let mut errors = Vec::new();
        let targets = self.servers.iter().filter_map(|server| server.target(lookup, &mut errors)).collect();
        if errors.is_empty() { Ok(targets) } else { Err(ConfigErrors(errors)) }
    }

    /// The targets as YAML, references kept. Unless `inline_secrets`, a value that looks like a secret is not written:
    /// a reference takes its place, and [`Yaml::variables`] says where its value stands.
    pub fn to_yaml(&self, inline_secrets: bool) -> Result<Yaml, ConfigErrors> {
        let mut variables = Vec::new();
        let targets: Vec<YamlTarget<'_>> = self
            .servers
            .iter()
            .map(|server| {
                let mut hide = |field: &str, values: &BTreeMap<String, String>| -> BTreeMap<String, String> {
                    let each = values.iter().map(|(name, value)| {
                        let place = server.key.key(field).key(name);
                        let value = if inline_secrets {
                            value.clone()
                        } else {
                            hidden(&server.name, name, value, &place, &mut variables)
                        };
                        (name.clone(), value)
                    });
                    each.collect()
                };
                let mcp = match &server.kind {
                    ServerKind::Http { url, headers, transport } => YamlMcp::Http {
                        url,
                        headers: hide("headers", headers),
                        transport: Some(*transport).filter(|one| *one != Transport::Auto),
                    },
                    ServerKind::Stdio { command, args, env, cwd } => {
                        YamlMcp::Stdio { command, args, env: hide("env", env), cwd: cwd.as_deref() }
                    }
                };
                YamlTarget { name: &server.name, mcp }
            })
            .collect();
        let document = BTreeMap::from([("targets", targets)]);
        let text = serde_saphyr::to_string(&document)
            .map_err(|_| ConfigError::general("cannot be written as YAML").remedy("report this as a bug"))?;
        Ok(Yaml { text, variables })
    }
}

// === impl Server ===

impl Server {
    fn target(&self, lookup: Lookup<'_>, errors: &mut Vec<ConfigError>) -> Option<TargetConfig> {
        let mut get = |key: KeyPath, text: &str| match expand(text, lookup) {
            Ok(text) => Some(text),
            Err(error) => {
                errors.push(ConfigError::at(key, error.to_string()).remedy("set it before you start the gateway"));
                None
            }
        };
        let mut secrets = |field: &str, values: &BTreeMap<String, String>| -> BTreeMap<String, Secret> {
            let each = |(name, text): (&String, &String)| {
                Some((name.clone(), Secret::new(get(self.key.key(field).key(name), text)?)))
            };
            values.iter().filter_map(each).collect()
        };
        let mcp = match &self.kind {
            ServerKind::Http { url, headers, transport } => {
                let headers = secrets("headers", headers);
                let url = get(self.key.key("url"), url)?;
                match url.parse() {
                    Ok(url) => McpConfig::Http(HttpTarget { url, headers, transport: *transport }),
                    Err(why) => {
                        errors.push(
                            ConfigError::at(self.key.key("url"), format!("is {why}"))
                                .remedy("write http:// or https://"),
                        );
                        return None;
                    }
                }
            }
            ServerKind::Stdio { command, args, env, cwd } => {
                let env = secrets("env", env);
                let args = args.iter().filter_map(|arg| get(self.key.key("args"), arg)).collect();
                let mut stdio = StdioTarget::new(get(self.key.key("command"), command)?, args);
                stdio.cwd = match cwd {
                    Some(cwd) => Some(PathBuf::from(get(self.key.key("cwd"), cwd)?)),
                    None => None,
                };
                stdio.env = env;
                McpConfig::Stdio(stdio)
            }
        };
        Some(TargetConfig::new(self.name.clone(), mcp))
    }
}

#[derive(Serialize)]
struct YamlTarget<'a> {
    name: &'a str,
    mcp: YamlMcp<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum YamlMcp<'a> {
    Http {
        url: &'a str,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        transport: Option<Transport>,
    },
    Stdio {
        command: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        args: &'a [String],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cwd: Option<&'a str>,
    },
}

/// Turns the references of clients into ours.
struct Templates<'a> {
    key: &'a KeyPath,
    errors: &'a mut Vec<ConfigError>,
}

// === impl Templates ===

impl Templates<'_> {
    fn one(&mut self, field: &str, text: &str) -> String {
        self.at(self.key.key(field), text)
    }

    fn all(&mut self, field: &str, texts: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
        texts
            .map(|(name, text)| {
                let text = self.at(self.key.key(field).key(&name), &text);
                (name, text)
            })
            .collect()
    }

    fn at(&mut self, key: KeyPath, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find('$') {
            out.push_str(&rest[..start]);
            let after = &rest[start + 1..];
            if let Some((inside, tail)) = after.strip_prefix('{').and_then(|body| body.split_once('}')) {
                match reference(inside) {
                    Some(name) => out.push_str(&format!("${{{name}}}")),
                    None => {
                        let message = format!("`${{{inside}}}` means something to its client only");
                        self.errors
                            .push(ConfigError::at(key.clone(), message).remedy("write the value, or ${env:NAME}"));
                    }
                }
                rest = tail;
            } else {
                // A dollar sign that is no reference there must not become one here.
                out.push_str("$$");
                rest = after;
            }
        }
        out.push_str(rest);
        out
    }
}

/// What stands inside our `${…}` for what stands inside theirs.
fn reference(inside: &str) -> Option<String> {
    if let Some(name) = inside.strip_prefix("env:") {
        return is_name(name).then(|| name.to_owned());
    }
    if let Some(id) = inside.strip_prefix("input:") {
        return Some(variable_name(&[id])).filter(|name| is_name(name));
    }
    match inside {
        "userHome" => Some("HOME".to_owned()),
        "workspaceFolder" | "workspaceRoot" | "cwd" | "pathSeparator" => None,
        _ => is_name(inside.split(":-").next().unwrap_or_default()).then(|| inside.to_owned()),
    }
}

/// A target may be called so: what is not a letter, digit or hyphen becomes a hyphen.
fn target_name(name: &str) -> String {
    let mut out = String::new();
    for char in name.chars() {
        if char.is_ascii_alphanumeric() {
            out.push(char);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    out.truncate(100);
    out.trim_end_matches('-').to_owned()
}

/// `github` and `api-key` give `GITHUB_API_KEY`.
fn variable_name(parts: &[&str]) -> String {
    let name: String = parts
        .join("_")
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' })
        .collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// The value, or a reference to a variable if it looks like a secret.
fn hidden(server: &str, name: &str, value: &str, place: &KeyPath, variables: &mut Vec<(String, String)>) -> String {
    const WORDS: [&str; 9] = ["auth", "token", "key", "secret", "password", "passwd", "cookie", "credential", "pat"];
    let lower = name.to_ascii_lowercase();
    let secretive = lower
        .split(['-', '_'])
        .any(|part| WORDS.iter().any(|word| part.contains(word) && (*word != "pat" || part == "pat")));
    if !secretive || value.is_empty() || value.contains("${") {
        return value.to_owned();
    }
    // An environment variable keeps its name; a header gets its server's in front.
    let own = name == name.to_ascii_uppercase() && is_name(name);
    let mut variable = if own { name.to_owned() } else { variable_name(&[server, name]) };
    if variables.iter().any(|(taken, _)| *taken == variable) {
        variable = variable_name(&[server, name]);
    }
    let scheme =
        ["Bearer ", "Basic ", "token "].into_iter().find(|scheme| value.starts_with(scheme)).unwrap_or_default();
    variables.push((variable.clone(), place.to_string()));
    format!("{scheme}${{{variable}}}")
}

fn plain_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
