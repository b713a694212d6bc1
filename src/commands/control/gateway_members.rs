//! From flags to the members of a gateway.

use serde_json::{Value, json};

use super::Failure;
use super::file::{self, Members, list_or_none, or_none, put};
use crate::cli::args::gateway::{AuthorizerKind, GatewayMemberArgs, SessionsWish};
use crate::control::model::OperationName;
use crate::control_client::requested;

const MCP: &str = "protocolConfiguration";
const AUTHORIZER: &str = "authorizerConfiguration";
const TYPE: &str = "authorizerType";

/// Members for CreateGateway or UpdateGateway, and the tags, which an update has not.
#[derive(Debug)]
pub struct GatewayMembers {
    pub members: Members,
    pub tags: Members,
}

// === impl GatewayMembers ===

impl GatewayMembers {
    /// Those of a new gateway. Blocking.
    pub fn created(name: &str, args: &GatewayMemberArgs, account: Option<&str>) -> Result<Self, Failure> {
        let mut new = Self { members: Members::new(), tags: Members::new() };
        new.change(args)?;
        let members = &mut new.members;
        members.insert("name".into(), json!(name));
        members.entry("protocolType").or_insert_with(|| json!("MCP"));
        let account = account.unwrap_or("000000000000");
        members.entry("roleArn").or_insert_with(|| json!(format!("arn:aws:iam::{account}:role/sessiongate")));
        if !members.contains_key(TYPE) {
            return Err(Failure::Usage(
                "say who may call the gateway: --authorizer none (anybody), iam (who signs with an access key), or \
                 --discovery-url URL (who has a token of that identity provider)"
                    .into(),
            ));
        }
        Ok(new)
    }

    /// Those of a gateway that there is, changed. Blocking.
    pub fn updated(gateway: &Value, args: &GatewayMemberArgs) -> Result<Self, Failure> {
        let before = requested(OperationName::UpdateGateway, gateway);
        let mut new = Self { members: before.clone(), tags: Members::new() };
        new.change(args)?;
        if new.members == before && new.tags.is_empty() && !args.says_something() {
            return Err(Failure::Usage("nothing to change: say what, see `sessiongate gateway update --help`".into()));
        }
        Ok(new)
    }

    fn change(&mut self, args: &GatewayMemberArgs) -> Result<(), Failure> {
        if let Some(from) = &args.from {
            let mut given = file::members(from, OperationName::GetGateway, OperationName::CreateGateway)?;
            match given.remove("tags") {
                Some(Value::Object(tags)) => self.tags = tags,
                Some(_) => return Err(Failure::Usage(format!("{}: `tags` is no object", from.display()))),
                None => {}
            }
            self.members.extend(given);
        }
        self.tags.extend(args.tags.iter().map(|(key, value)| (key.clone(), json!(value))));
        self.authorizer(args)?;
        let members = &mut self.members;
        if let Some(wish) = args.sessions {
            let sessions = match wish {
                SessionsWish::Off => None,
                SessionsWish::Last(timeout) => Some(json!({"sessionTimeoutInSeconds": timeout.as_secs()})),
            };
            put(members, &[MCP, "mcp", "sessionConfiguration"], sessions)?;
        }
        if let Some(on) = args.streaming() {
            let streaming = on.then(|| json!({"enableResponseStreaming": true}));
            put(members, &[MCP, "mcp", "streamingConfiguration"], streaming)?;
        }
        if let Some(on) = args.search() {
            put(members, &[MCP, "mcp", "searchType"], on.then(|| json!("SEMANTIC")))?;
        }
        if let Some(text) = &args.instructions {
            put(members, &[MCP, "mcp", "instructions"], or_none(text))?;
        }
        if let Some(text) = &args.description {
            put(members, &["description"], or_none(text))?;
        }
        if let Some(on) = args.debug() {
            put(members, &["exceptionLevel"], on.then(|| json!("DEBUG")))?;
        }
        if let Some(role) = &args.role {
            members.insert("roleArn".into(), json!(role));
        }
        Ok(())
    }

    fn authorizer(&mut self, args: &GatewayMemberArgs) -> Result<(), Failure> {
        let rules = [
            ("discoveryUrl", args.discovery_url.as_deref().map(or_none)),
            ("allowedAudience", (!args.audience.is_empty()).then(|| list_or_none(&args.audience))),
            ("allowedClients", (!args.client.is_empty()).then(|| list_or_none(&args.client))),
            ("allowedScopes", (!args.scope.is_empty()).then(|| list_or_none(&args.scope))),
        ];
        let has_rules = rules.iter().any(|(_, rule)| rule.is_some());
        let members = &mut self.members;
        match args.authorizer {
            Some(kind @ (AuthorizerKind::None | AuthorizerKind::Iam)) => {
                if has_rules {
                    return Err(Failure::Usage(
                        "--discovery-url, --audience, --client and --scope go with --authorizer jwt or authenticate-only"
                            .into(),
                    ));
                }
                let word = if kind == AuthorizerKind::Iam { "AWS_IAM" } else { "NONE" };
                members.insert(TYPE.into(), json!(word));
                members.remove(AUTHORIZER);
            }
            Some(AuthorizerKind::Jwt) => drop(members.insert(TYPE.into(), json!("CUSTOM_JWT"))),
            Some(AuthorizerKind::AuthenticateOnly) => drop(members.insert(TYPE.into(), json!("AUTHENTICATE_ONLY"))),
            None => {
                let has_tokens =
                    members.get(TYPE).is_some_and(|word| word == "CUSTOM_JWT" || word == "AUTHENTICATE_ONLY");
                if args.discovery_url.is_some() && !has_tokens {
                    members.insert(TYPE.into(), json!("CUSTOM_JWT"));
                }
            }
        }
        for (name, rule) in rules {
            if let Some(rule) = rule {
                put(members, &[AUTHORIZER, "customJWTAuthorizer", name], rule)?;
            }
        }
        Ok(())
    }
}

// === impl GatewayMemberArgs ===

impl GatewayMemberArgs {
    /// To ask for what is there already is a wish, too: it is carried out again.
    fn says_something(&self) -> bool {
        let flags = self.streaming().or(self.debug()).or(self.search()).is_some();
        let texts = [&self.discovery_url, &self.instructions, &self.description, &self.role];
        let lists = [&self.audience, &self.client, &self.scope];
        flags
            || texts.iter().any(|text| text.is_some())
            || lists.iter().any(|list| !list.is_empty())
            || self.authorizer.is_some()
            || self.sessions.is_some()
            || !self.tags.is_empty()
            || self.from.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::gateway::GatewayCommand;
    use crate::cli::{Cli, Command};

    fn args(line: &[&str]) -> GatewayMemberArgs {
        let line = [&["sessiongate", "gateway", "create", "shop"][..], line].concat();
        let Command::Gateway(gateway) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        let GatewayCommand::Create(create) = gateway.command else { panic!() };
        create.members
    }

    fn created(line: &[&str]) -> Result<Value, Failure> {
        GatewayMembers::created("shop", &args(line), Some("123456789012")).map(|new| json!(new.members))
    }

    fn gateway() -> Value {
        json!({"name": "shop", "gatewayId": "shop-0123456789", "status": "READY", "description": "d",
            "roleArn": "arn:aws:iam::123456789012:role/own", "authorizerType": "CUSTOM_JWT", "protocolType": "MCP",
            "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": "https://a", "allowedAudience": ["x"]}},
            "protocolConfiguration": {"mcp": {"instructions": "i", "sessionConfiguration": {"sessionTimeoutInSeconds": 900}}}})
    }

    fn updated(line: &[&str]) -> Value {
        json!(GatewayMembers::updated(&gateway(), &args(line)).unwrap().members)
    }

    #[test]
    fn flags_become_members() {
        let line = ["--authorizer", "none", "--sessions", "1h", "--streaming", "--debug", "--description", "d"];
        assert_eq!(
            created(&line).unwrap(),
            json!({"name": "shop", "roleArn": "arn:aws:iam::123456789012:role/sessiongate", "protocolType": "MCP",
                "authorizerType": "NONE", "description": "d", "exceptionLevel": "DEBUG",
                "protocolConfiguration": {"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": 3600},
                    "streamingConfiguration": {"enableResponseStreaming": true}}}})
        );
        let line =
            ["--discovery-url", "https://a/x", "--audience", "a", "--audience", "b", "--scope", "s", "--role", "r"];
        let made = created(&line).unwrap();
        assert_eq!((&made["authorizerType"], &made["roleArn"]), (&json!("CUSTOM_JWT"), &json!("r")));
        let rules = json!({"discoveryUrl": "https://a/x", "allowedAudience": ["a", "b"], "allowedScopes": ["s"]});
        assert_eq!(made["authorizerConfiguration"]["customJWTAuthorizer"], rules);
        // Nothing that nobody said.
        let made = created(&["--authorizer", "iam", "--sessions", "off", "--no-streaming"]).unwrap();
        assert!(made.get("protocolConfiguration").is_none() && made["authorizerType"] == "AWS_IAM", "{made}");
    }

    #[test]
    fn who_may_call_has_to_be_said() {
        assert!(created(&[]).unwrap_err().to_string().contains("--authorizer none"));
        let error = created(&["--authorizer", "none", "--scope", "s"]).unwrap_err().to_string();
        assert!(error.contains("--authorizer jwt"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        std::fs::write(
            &file,
            "name: other\nauthorizerType: NONE\ndescription: file\nexceptionLevel: DEBUG\ntags: {a: b, c: d}\n",
        )
        .unwrap();
        let line = ["--from", file.to_str().unwrap(), "--description", "flag", "--no-debug", "--tag", "a=z"];
        let new = GatewayMembers::created("shop", &args(&line), None).unwrap();
        assert_eq!((&new.members["name"], &new.members["description"]), (&json!("shop"), &json!("flag")));
        assert!(!new.members.contains_key("exceptionLevel") && !new.members.contains_key("tags"));
        assert_eq!(json!(new.tags), json!({"a": "z", "c": "d"}));
    }

    #[test]
    fn an_update_keeps_what_is_not_said() {
        let mut expected = json!(requested(OperationName::UpdateGateway, &gateway()));
        expected["protocolConfiguration"] = json!({"mcp": {"instructions": "i"}});
        assert_eq!(updated(&["--sessions", "off"]), expected);
        let changed = updated(&["--audience", "y", "--audience", "z", "--description", ""]);
        let rules = json!({"discoveryUrl": "https://a", "allowedAudience": ["y", "z"]});
        assert_eq!(changed["authorizerConfiguration"]["customJWTAuthorizer"], rules);
        assert!(changed.get("description").is_none(), "{changed}");
        let changed = updated(&["--authorizer", "none"]);
        assert!(changed["authorizerType"] == "NONE" && changed.get("authorizerConfiguration").is_none(), "{changed}");
        // The other kind with tokens keeps its rules, and a new identity provider keeps the kind.
        let changed = updated(&["--authorizer", "authenticate-only"]);
        assert_eq!(changed["authorizerConfiguration"], gateway()["authorizerConfiguration"]);
        assert_eq!(updated(&["--discovery-url", "https://b"])["authorizerType"], "CUSTOM_JWT");
        let error = GatewayMembers::updated(&gateway(), &args(&[])).unwrap_err().to_string();
        assert!(error.contains("nothing to change"), "{error}");
        assert_eq!(updated(&["--description", "d"]), json!(requested(OperationName::UpdateGateway, &gateway())));
    }

    #[test]
    fn the_last_of_two_opposites_counts() {
        assert_eq!(args(&["--streaming", "--no-streaming"]).streaming(), Some(false));
        assert_eq!(args(&["--no-streaming", "--streaming"]).streaming(), Some(true));
        assert_eq!(args(&[]).streaming(), None);
    }
}
