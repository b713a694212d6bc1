//! As whom the gateway calls AWS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sessiongate_targets::aws::{AwsCredentials, AwsIdentity, Roles};

use super::role::RoleConfig;
use crate::config::secret::Secret;

/// As whom the gateway calls Lambda and S3, or what `endpoints` puts in their place. What is not given is taken from the
/// environment: `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; `AWS_REGION` or
/// `AWS_DEFAULT_REGION`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsConfig {
    /// Where services are for which no ARN gives a region (S3). Default: the environment's, else `us-east-1`. Since 0.1.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,32}$"))]
    pub region: Option<String>,
    /// The id of an access key. Since 0.1.
    pub access_key_id: Option<String>,
    /// Its secret, best as a reference: `"${AWS_SECRET}"`. Since 0.1.
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary credentials. Since 0.1.
    pub session_token: Option<Secret>,
    /// The roles (`roleArn`) that gateways of the control plane may have, by ARN, and the key that each signs with: `own`
    /// (that of the process), `assume` (a temporary one that STS gives for it), or a mapping with a key. `*` stands for any
    /// characters and `?` for one; the most specific entry counts. Other roles are refused. Gateways of this file have no
    /// role. Default: every role may be named, and means the process's own key. Since 0.1.
    pub roles: Option<BTreeMap<String, RoleConfig>>,
}

// === impl AwsConfig ===

impl AwsConfig {
    /// The roles that gateways may have; none where roles say nothing.
    #[must_use]
    pub fn roles(&self) -> Option<Roles> {
        let roles = self.roles.as_ref()?;
        Some(Roles::new(roles.iter().map(|(pattern, role)| (pattern.clone(), role.key()))))
    }

    /// As whom the gateway calls, with this environment.
    #[must_use]
    pub fn identity(&self, variable: impl Fn(&str) -> Option<String>) -> AwsIdentity {
        let environment = AwsIdentity::from_env(variable);
        let text = |secret: &Secret| secret.expose().to_owned().into();
        let own = match (&self.access_key_id, &self.secret_access_key) {
            (Some(access_key_id), Some(secret)) => Some(AwsCredentials {
                access_key_id: access_key_id.clone(),
                secret_access_key: text(secret),
                session_token: self.session_token.as_ref().map(text),
            }),
            _ => None,
        };
        AwsIdentity { credentials: own.or(environment.credentials), region: self.region.clone().or(environment.region) }
    }
}

#[cfg(test)]
mod tests {
    use sessiongate_targets::aws::RoleKey;

    use super::*;
    use crate::config::Config;
    use crate::config::load::parse;

    fn read(roles: &str) -> Result<Config, String> {
        let text = format!(
            "aws: {{roles: {roles}}}\ngateways: [{{name: shop, targets: [{{name: cart, mcp: {{command: cart}}}}]}}]\n"
        );
        parse("test.yaml", &text, &|name| (name == "SECRET").then(|| "s3cret".to_owned()))
            .map_err(|errors| errors.to_string())
    }

    fn roles(text: &str) -> Option<Roles> {
        read(text).unwrap().aws.unwrap().roles()
    }

    #[test]
    fn a_role_signs_with_a_word_or_a_key() {
        let text = "{'arn:aws:iam::123456789012:role/a*': assume, 'arn:aws:iam::123456789012:role/own': own,
            '*': {access_key_id: AKID, secret_access_key: '${SECRET}', session_token: t0ken}}";
        let read = read(text).unwrap();
        assert!(!format!("{read:?}").contains("s3cret") && !format!("{read:?}").contains("t0ken"));
        let roles = read.aws.unwrap().roles().unwrap();
        let found = |name: &str| roles.find(&format!("arn:aws:iam::123456789012:role/{name}")).unwrap();
        assert!(matches!(found("ab"), RoleKey::Assume) && matches!(found("own"), RoleKey::Own));
        let RoleKey::Fixed(key) = found("x") else { panic!("{roles:?}") };
        assert!(key.access_key_id == "AKID" && key.session_token.is_some());
    }

    #[test]
    fn no_list_and_an_empty_one_are_not_the_same() {
        let unsaid: AwsConfig = serde_json::from_str(r#"{"region": "eu-west-1"}"#).unwrap();
        assert!(unsaid.roles().is_none());
        assert!(roles("{}").unwrap().find("arn:aws:iam::123456789012:role/a").is_none());
        // What is left where the last entry was commented out: neither of the two is certain to be meant.
        for nothing in ["", "~"] {
            let error = read(nothing).unwrap_err();
            assert!(error.contains("aws.roles") && error.contains("`{}` for none"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (wrong, says) in [
            ("{'arn:aws:iam::123456789012:role/a': chain}", "`assume`"),
            ("{'arn:aws:iam::123456789012:user/a': own}", "not the ARN of a role"),
            ("{gateway-a: own}", "not the ARN of a role"),
            ("{'*': {access_key_id: AKID}}", "secret_access_key"),
            ("{'*': {access_key_id: AKID, secret_access_key: ''}}", "empty key"),
            ("{'*': {access_key_id: AKID, secret_access_key: '${SECRET}', role: x}}", "unknown key `role`"),
        ] {
            let error = read(wrong).expect_err(wrong);
            assert!(error.contains(says) && !error.contains("s3cret"), "{wrong}: {error}");
        }
    }
}
