//! Who may call one gateway.

use std::collections::HashSet;
use std::sync::Arc;

use sessiongate_actors::directory::Principal;

use super::ApiKeys;
use super::trust::{Iam, Trust};
use crate::auth::jwt::{ClaimMatch, ClaimOperator, ClaimRule, ClaimValueType, Entered, JwtAuthorizer, JwtRules};
use crate::config::{self, ApiKey, GatewayConfig};

/// Who may call one gateway. API keys open it beside whatever else does.
pub struct Access {
    made_of: MadeOf,
    trust: Arc<Trust>,
    /// Its URLs among those of all gateways.
    _entered: Entered,
    /// Static keys.
    pub keys: ApiKeys,
    /// Who else.
    pub inbound: Inbound,
    /// Hashes of those who could call before, as long as this process knows, and cannot any more.
    former: HashSet<Box<str>>,
}

/// Who may call besides holders of API keys.
pub enum Inbound {
    /// Everybody where there are no API keys, else nobody.
    Open,
    /// Who has a token.
    Tokens(JwtAuthorizer),
    /// Who signs.
    Signatures(Arc<Iam>),
    /// Nobody: the authorizer cannot be used, the log says why.
    Closed,
}

#[derive(PartialEq)]
struct MadeOf {
    authorizer: config::Authorizer,
    keys: Vec<ApiKey>,
    resources: Vec<String>,
}

// === impl Access ===

impl Access {
    /// For a gateway whose tokens may be for these URLs. `last` is who could call it until now: it is the answer where
    /// nothing has changed.
    pub fn new(
        gateway: &GatewayConfig,
        resources: Vec<String>,
        trust: &Arc<Trust>,
        last: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let made_of = MadeOf { authorizer: gateway.authorizer.clone(), keys: gateway.api_keys.clone(), resources };
        if let Some(last) = last
            && last.made_of == made_of
            && Arc::ptr_eq(&last.trust, trust)
        {
            return last.clone();
        }
        Self::make(&gateway.name, made_of, trust, last)
    }

    /// The same on other ground.
    pub fn moved(self: &Arc<Self>, gateway: &str, trust: &Arc<Trust>) -> Arc<Self> {
        if Arc::ptr_eq(&self.trust, trust) {
            return self.clone();
        }
        let MadeOf { authorizer, keys, resources } = &self.made_of;
        let made_of = MadeOf { authorizer: authorizer.clone(), keys: keys.clone(), resources: resources.clone() };
        Self::make(gateway, made_of, trust, Some(self))
    }

    fn make(name: &str, made_of: MadeOf, trust: &Arc<Trust>, last: Option<&Arc<Self>>) -> Arc<Self> {
        let same = last.filter(|last| {
            Arc::ptr_eq(&last.trust, trust)
                && last.made_of.authorizer == made_of.authorizer
                && last.made_of.resources == made_of.resources
        });
        let inbound = match same.map(|last| &last.inbound) {
            // What is known of tokens stays.
            Some(Inbound::Tokens(authorizer)) => Inbound::Tokens(authorizer.clone()),
            _ => Inbound::of(name, &made_of, trust),
        };
        let mut made = Self {
            keys: ApiKeys::new(&made_of.keys),
            _entered: trust.resources().enter(made_of.resources.clone()),
            made_of,
            trust: trust.clone(),
            inbound,
            former: HashSet::new(),
        };
        if let Some(last) = last {
            let before = last.former.iter().map(|one| &**one).chain(last.keys.holders());
            let signed = match &last.inbound {
                Inbound::Signatures(iam) => Some(iam.callers()),
                _ => None,
            };
            let former = before.chain(signed.into_iter().flatten()).filter(|one| !made.knows(one));
            made.former = former.map(Into::into).collect();
        }
        Arc::new(made)
    }

    /// Everybody is the same anonymous principal.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.inbound, Inbound::Open) && self.keys.is_empty()
    }

    /// Whether it is certain that a principal with this hash cannot call any more. Who had a token of another issuer, or had
    /// one that would not do today, is not known: each of its requests is refused all the same.
    pub fn refuses(&self, principal: &str) -> bool {
        match &self.inbound {
            Inbound::Tokens(_) | Inbound::Closed => {
                principal == Principal::anonymous().as_str() || self.former.contains(principal)
            }
            Inbound::Open | Inbound::Signatures(_) => !self.knows(principal),
        }
    }

    /// Whether it is certain that a principal with this hash, whom `before` let in, would be let in with the same credential.
    pub fn keeps(&self, principal: &str, before: &Self) -> bool {
        match (before.keys.serves(principal), self.keys.serves(principal)) {
            (true, true) => self.keys.keep(principal, &before.keys),
            (false, false) => match (&self.inbound, &before.inbound) {
                (Inbound::Open, Inbound::Open) => self.is_anonymous() && before.is_anonymous(),
                (Inbound::Signatures(iam), Inbound::Signatures(last)) => Arc::ptr_eq(iam, last),
                (Inbound::Tokens(_), Inbound::Tokens(_)) => {
                    Arc::ptr_eq(&self.trust, &before.trust)
                        && self.made_of.authorizer == before.made_of.authorizer
                        && self.made_of.resources == before.made_of.resources
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn knows(&self, principal: &str) -> bool {
        let otherwise = match &self.inbound {
            Inbound::Open => self.keys.is_empty() && principal == Principal::anonymous().as_str(),
            Inbound::Signatures(iam) => iam.serves(principal),
            Inbound::Tokens(_) | Inbound::Closed => false,
        };
        otherwise || self.keys.serves(principal)
    }
}

// === impl Inbound ===

impl Inbound {
    fn of(gateway: &str, made_of: &MadeOf, trust: &Trust) -> Self {
        let (jwt, authenticate_only) = match &made_of.authorizer {
            config::Authorizer::None => return Self::Open,
            config::Authorizer::Iam => {
                return trust.iam().cloned().map_or(Self::Closed, Self::Signatures);
            }
            config::Authorizer::Jwt(jwt) => (jwt, false),
            config::Authorizer::AuthenticateOnly(jwt) => (jwt, true),
        };
        let rules = JwtRules { resources: made_of.resources.clone(), ..jwt_rules(jwt, authenticate_only) };
        let made = trust.issuers().map(|issuers| issuers.authorizer(rules));
        match made {
            Some(Ok(authorizer)) => Self::Tokens(authorizer.among(trust.resources().clone())),
            Some(Err(error)) => {
                tracing::error!(gateway, %error, "the authorizer cannot be used: nobody gets in with a token");
                Self::Closed
            }
            None => Self::Closed,
        }
    }
}

/// The rules of a configuration, without the URLs of the gateway. Where nothing else is asked for, a token must be for the
/// gateway itself: any token of the issuer would do otherwise.
pub fn jwt_rules(config: &config::JwtAuthorizer, authenticate_only: bool) -> JwtRules {
    let asks = !(config.allowed_audience.is_empty()
        && config.allowed_clients.is_empty()
        && config.allowed_scopes.is_empty()
        && config.custom_claims.is_empty());
    JwtRules {
        issuer: config.issuer.clone(),
        allowed_audience: config.allowed_audience.clone(),
        allowed_clients: config.allowed_clients.clone(),
        allowed_scopes: config.allowed_scopes.clone(),
        advertised_scope_mapping: config.advertised_scopes.clone(),
        custom_claims: config.custom_claims.iter().map(claim_rule).collect(),
        authenticate_only,
        strict_audience: config.strict_audience || (!asks && !authenticate_only),
        ..JwtRules::new(config.discovery_url.url().clone())
    }
}

fn claim_rule(claim: &config::CustomClaim) -> ClaimRule {
    ClaimRule {
        name: claim.name.clone(),
        value_type: match claim.value_type {
            config::ClaimType::String => ClaimValueType::String,
            config::ClaimType::StringArray => ClaimValueType::StringArray,
        },
        operator: match claim.operator {
            config::ClaimOperator::Equals => ClaimOperator::Equals,
            config::ClaimOperator::Contains => ClaimOperator::Contains,
            config::ClaimOperator::ContainsAny => ClaimOperator::ContainsAny,
        },
        value: match (claim.operator, claim.values.as_slice()) {
            (config::ClaimOperator::Equals | config::ClaimOperator::Contains, [one]) => ClaimMatch::String(one.clone()),
            (_, values) => ClaimMatch::List(values.to_vec()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Authorizer, Config, ControlConfig, JwtAuthorizer, Secret};
    use crate::gateway::WayOut;

    fn gateway(authorizer: Authorizer, keys: &[&str]) -> GatewayConfig {
        let mut gateway = GatewayConfig::new("shop");
        gateway.authorizer = authorizer;
        gateway.api_keys = keys
            .iter()
            .map(|name| ApiKey { name: (*name).into(), key: Secret::new(format!("key of {name}")) })
            .collect();
        gateway
    }

    fn jwt() -> Authorizer {
        Authorizer::Jwt(JwtAuthorizer {
            discovery_url: "https://issuer.example/.well-known/openid-configuration".parse().unwrap(),
            issuer: None,
            allowed_audience: vec!["gw".into()],
            allowed_clients: Vec::new(),
            allowed_scopes: Vec::new(),
            advertised_scopes: Default::default(),
            custom_claims: Vec::new(),
            strict_audience: false,
        })
    }

    fn trust(config: &Config) -> Arc<Trust> {
        Arc::new(Trust::new(config, WayOut::new(config), None))
    }

    fn next(config: &GatewayConfig, trust: &Arc<Trust>, last: Option<&Arc<Access>>) -> Arc<Access> {
        Access::new(config, vec!["http://localhost/mcp".into()], trust, last)
    }

    fn key(name: &str) -> String {
        Principal::named("api-key", name).as_str().to_owned()
    }

    #[test]
    fn what_did_not_change_is_the_same() {
        let ground = trust(&Config::default());
        let first = next(&gateway(jwt(), &["ada"]), &ground, None);
        assert!(Arc::ptr_eq(&first, &next(&gateway(jwt(), &["ada"]), &ground, Some(&first))));
        assert!(!Arc::ptr_eq(&first, &next(&gateway(jwt(), &[]), &ground, Some(&first))));
        let other = trust(&Config::default());
        assert!(!Arc::ptr_eq(&first, &first.moved("shop", &other)));
        assert!(Arc::ptr_eq(&first, &first.moved("shop", &ground)));
    }

    #[test]
    fn who_can_certainly_not_call_any_more_is_known() {
        let ground = trust(&Config::default());
        let anonymous = Principal::anonymous();
        let somebody = Principal::named("jwt", "of some issuer");
        let open = next(&gateway(Authorizer::None, &[]), &ground, None);
        assert!(!open.refuses(anonymous.as_str()) && open.refuses(&key("ada")) && open.refuses(somebody.as_str()));
        let keyed = next(&gateway(Authorizer::None, &["ada", "bob"]), &ground, Some(&open));
        assert!(keyed.refuses(anonymous.as_str()) && !keyed.refuses(&key("ada")));
        // Tokens beside one of the two keys.
        let tokens = next(&gateway(jwt(), &["ada"]), &ground, Some(&keyed));
        assert!(!tokens.refuses(&key("ada")) && tokens.refuses(&key("bob")) && tokens.refuses(anonymous.as_str()));
        assert!(!tokens.refuses(somebody.as_str()), "it may be somebody who has a token");
        // It is remembered over further changes, and forgotten when the key comes back.
        let later = next(&gateway(jwt(), &[]), &ground, Some(&tokens));
        assert!(later.refuses(&key("ada")) && later.refuses(&key("bob")));
        let back = next(&gateway(jwt(), &["bob"]), &ground, Some(&later));
        assert!(back.refuses(&key("ada")) && !back.refuses(&key("bob")));
        assert!(next(&gateway(Authorizer::None, &["ada"]), &ground, Some(&back)).refuses(somebody.as_str()));
    }

    #[test]
    fn who_certainly_can_call_as_before_is_not_asked_again() {
        let ground = trust(&Config::default());
        let (anonymous, somebody) = (Principal::anonymous(), Principal::named("jwt", "of some issuer"));
        let (ada, bob) = (key("ada"), key("bob"));
        let open = next(&gateway(Authorizer::None, &[]), &ground, None);
        let keyed = next(&gateway(Authorizer::None, &["ada", "bob"]), &ground, Some(&open));
        assert!(!keyed.keeps(anonymous.as_str(), &open) && !open.keeps(&ada, &keyed));
        let fewer = next(&gateway(Authorizer::None, &["bob"]), &ground, Some(&keyed));
        assert!(fewer.keeps(&bob, &keyed) && !fewer.keeps(&ada, &keyed));
        // The same name on another key.
        let mut other = gateway(Authorizer::None, &["ada", "bob"]);
        other.api_keys[0].key = Secret::new("another key");
        let other = next(&other, &ground, Some(&keyed));
        assert!(other.keeps(&bob, &keyed) && !other.keeps(&ada, &keyed));
        // What opens the gateway beside keys is none of their holders' business, and the other way round.
        let tokens = next(&gateway(jwt(), &["ada", "bob"]), &ground, Some(&keyed));
        assert!(tokens.keeps(&ada, &keyed));
        let more = next(&gateway(jwt(), &["ada"]), &ground, Some(&tokens));
        assert!(more.keeps(somebody.as_str(), &tokens) && !more.keeps(&bob, &tokens));
        let mut rules = gateway(jwt(), &["ada"]);
        if let Authorizer::Jwt(jwt) = &mut rules.authorizer {
            jwt.allowed_audience = vec!["other".into()];
        }
        let rules = next(&rules, &ground, Some(&more));
        assert!(rules.keeps(&ada, &more) && !rules.keeps(somebody.as_str(), &more));
        let elsewhere = rules.moved("shop", &trust(&Config::default()));
        assert!(elsewhere.keeps(&ada, &rules) && !elsewhere.keeps(somebody.as_str(), &rules));
    }

    #[test]
    fn signatures_are_of_those_who_may() {
        let key = |id: &str, permission: &str| config::AccessKey {
            access_key_id: id.into(),
            secret_access_key: Secret::new("secret-of-a-key"),
            session_token: None,
            principal: Some(format!("arn:aws:iam::000000000000:user/{id}")),
            permissions: vec![permission.into()],
        };
        let credentials = vec![
            key("AKIDEXAMPLEEXAMPLE", "bedrock-agentcore:Invoke*"),
            key("AKIDEXAMPLEREADONLY", "bedrock-agentcore:Get*"),
        ];
        let control = ControlConfig { credentials, ..ControlConfig::default() };
        let ground = trust(&Config { control: Some(control), ..Config::default() });
        let access = next(&gateway(Authorizer::Iam, &[]), &ground, None);
        let refuses =
            |id: &str| access.refuses(Iam::principal(&format!("arn:aws:iam::000000000000:user/{id}")).as_str());
        assert!(!refuses("AKIDEXAMPLEEXAMPLE") && refuses("AKIDEXAMPLEREADONLY"));
        // Without a control plane there is nobody.
        let nobody = next(&gateway(Authorizer::Iam, &[]), &trust(&Config::default()), None);
        assert!(matches!(nobody.inbound, Inbound::Closed));
    }
}
