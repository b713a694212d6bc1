//! One gateway without a file: `--target NAME=URL`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::{ConfigError, ConfigErrors};
use super::model::{Config, GatewayConfig, HttpTarget, McpConfig, Naming, StdioTarget, TargetConfig};
use super::validate::{is_target_name, validate};

/// The name of the gateway that flags make.
pub const GATEWAY_NAME: &str = "default";
/// Its path.
pub const GATEWAY_PATH: &str = "/mcp";

/// What the flags of `serve` say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `NAME=URL` or `NAME=stdio:COMMAND ARGS`.
    pub targets: Vec<String>,
    /// Targets from an `mcpServers` file; they come after those of `targets`.
    pub imported: Vec<TargetConfig>,
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// The path of the endpoint, `/mcp` by default.
    pub path: Option<String>,
    /// The data folder.
    pub data_dir: Option<PathBuf>,
    /// How names are made: plain for one target, prefixed for several, by default.
    pub naming: Option<Naming>,
    /// Everyone who reaches the listener may call.
    pub allow_anonymous: bool,
}

/// Makes a configuration of flags. Loopback targets are allowed: this mode is for a person at a machine.
pub fn from_flags(flags: &Flags) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let mut gateway = GatewayConfig::new(GATEWAY_NAME);
    for text in &flags.targets {
        match target(text) {
            Ok(target) => gateway.targets.push(target),
            Err(error) => errors.push(error),
        }
    }
    gateway.targets.extend(flags.imported.iter().cloned());
    gateway.path = Some(flags.path.clone().unwrap_or_else(|| GATEWAY_PATH.to_owned()));
    gateway.allow_anonymous = flags.allow_anonymous;
    let usual = if gateway.targets.len() == 1 { Naming::Plain } else { Naming::Prefixed };
    gateway.naming = flags.naming.unwrap_or(usual);
    let defaults = Config::default();
    let config = Config {
        listen: flags.listen.unwrap_or(defaults.listen),
        data_dir: flags.data_dir.clone().unwrap_or_else(|| defaults.data_dir.clone()),
        allow_private_networks: loopback(),
        gateways: vec![gateway],
        ..defaults
    };
    // A target that was not understood is not there: that the list is too short then is no news.
    if errors.is_empty() {
        errors = validate(&config);
    }
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
}

/// Reads `NAME=URL` or `NAME=stdio:COMMAND ARGS`, the latter split as a shell would, without running one.
pub fn target(text: &str) -> Result<TargetConfig, ConfigError> {
    let wrong = |message: String| {
        ConfigError::general(format!("--target {message}"))
            .remedy("write NAME=URL, or 'NAME=stdio:COMMAND ARGS', such as files='stdio:npx -y some-server /data'")
    };
    // The text may hold a key: only the name is shown.
    let Some((name, what)) = text.split_once('=') else { return Err(wrong("without `NAME=`".to_owned())) };
    if !is_target_name(name) {
        let shown: String = name.chars().take(24).collect();
        return Err(wrong(format!("has no good name before the `=`: `{shown}`")));
    }
    let mcp = if let Some(line) = what.strip_prefix("stdio:") {
        let words = shell_words::split(line).map_err(|_| wrong(format!("{name} has a quote without its end")))?;
        let mut words = words.into_iter();
        let command = words.next().ok_or_else(|| wrong(format!("{name} names no command")))?;
        McpConfig::Stdio(StdioTarget::new(command, words.collect()))
    } else {
        let url = what.parse().map_err(|why| wrong(format!("{name} is {why}")))?;
        McpConfig::Http(HttpTarget::new(url))
    };
    Ok(TargetConfig::new(name, mcp))
}

/// 127.0.0.0/8 and ::1.
fn loopback() -> Vec<IpNet> {
    vec![Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).trunc().into(), Ipv6Net::from(Ipv6Addr::LOCALHOST).into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(targets: &[&str]) -> Result<Config, ConfigErrors> {
        from_flags(&Flags { targets: targets.iter().map(ToString::to_string).collect(), ..Flags::default() })
    }

    #[test]
    fn one_target_has_plain_names_and_loopback() {
        let config = flags(&["cart=http://127.0.0.1:3001/mcp?a=b"]).unwrap();
        let gateway = &config.gateways[0];
        assert_eq!((gateway.naming, &*gateway.endpoint_path()), (Naming::Plain, "/mcp"));
        let McpConfig::Http(http) = &gateway.targets[0].mcp else { panic!("{gateway:?}") };
        assert_eq!(http.url.url().as_str(), "http://127.0.0.1:3001/mcp?a=b");
        let networks: Vec<_> = config.allow_private_networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["127.0.0.0/8", "::1/128"]);
    }

    #[test]
    fn an_open_listener_must_be_meant() {
        let open = |allow_anonymous| {
            let listen = Some("0.0.0.0:8080".parse().unwrap());
            from_flags(&Flags { targets: vec!["a=http://h/mcp".into()], listen, allow_anonymous, ..Flags::default() })
        };
        assert!(open(false).unwrap_err().to_string().contains("--allow-anonymous"));
        assert!(open(true).is_ok());
    }

    #[test]
    fn several_targets_have_prefixed_names() {
        let config = flags(&["a=http://h/mcp", "files=stdio:npx -y server '/my data'"]).unwrap();
        let gateway = &config.gateways[0];
        assert_eq!(gateway.naming, Naming::Prefixed);
        let McpConfig::Stdio(stdio) = &gateway.targets[1].mcp else { panic!("{gateway:?}") };
        assert_eq!((stdio.command.as_str(), stdio.args.len(), stdio.args[2].as_str()), ("npx", 3, "/my data"));
    }

    #[test]
    fn all_bad_flags_are_reported() {
        let errors =
            flags(&["http://h/?key=hidden", "a=ftp://h", "b=stdio:", "c=stdio:'x", "d___e=http://h"]).unwrap_err();
        assert_eq!(errors.0.len(), 5, "{errors}");
        let text = errors.to_string();
        assert!(!text.contains("hidden"), "{text}");
        for part in ["no good name", "not an http", "names no command", "without its end", "d___e", "NAME=URL"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let errors = flags(&["a=http://h", "a=http://h"]).unwrap_err();
        assert!(errors.to_string().contains("taken"), "{errors}");
    }
}
