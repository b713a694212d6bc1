//! As whom the gateway signs.

use std::fmt;

use secrecy::SecretString;

use super::signer::Signer;

/// An access key. `Debug` shows its id only.
#[derive(Clone)]
pub struct AwsCredentials {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// For temporary credentials.
    pub session_token: Option<SecretString>,
}

/// As whom and where the gateway calls, where no role says otherwise.
#[derive(Clone, Debug, Default)]
pub struct AwsIdentity {
    /// None: nothing can be signed.
    pub credentials: Option<AwsCredentials>,
    /// Where services are that no ARN gives a region for.
    pub region: Option<String>,
}

/// The region of calls that nothing gives one for.
const REGION: &str = "us-east-1";

// === impl AwsIdentity ===

impl AwsIdentity {
    /// The variables that all of AWS's tools read: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`. An empty one counts as absent.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
        let credentials = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret)) => Some(AwsCredentials {
                access_key_id,
                secret_access_key: secret.into(),
                session_token: variable("AWS_SESSION_TOKEN").map(SecretString::from),
            }),
            _ => None,
        };
        Self { credentials, region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) }
    }

    /// The region of calls that nothing else gives one for.
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or(REGION)
    }
}

// === impl AwsCredentials ===

impl AwsCredentials {
    pub(super) fn signer(&self, region: &str, service: &str) -> Signer {
        Signer::new(&self.access_key_id, &self.secret_access_key, self.session_token.as_ref(), region, service)
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(variables: &[(&str, &str)]) -> AwsIdentity {
        AwsIdentity::from_env(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_gives_whole_keys_only_and_shows_no_secret() {
        let both = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_SESSION_TOKEN", "t0ken")];
        let found = identity(&both);
        assert_eq!(found.credentials.as_ref().unwrap().access_key_id, "AKID");
        let shown = format!("{found:?}");
        assert!(shown.contains("AKID") && !shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        assert!(identity(&both[..1]).credentials.is_none());
        assert!(identity(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "")]).credentials.is_none());
        assert_eq!(identity(&[]).region(), "us-east-1");
        assert_eq!(identity(&[("AWS_DEFAULT_REGION", "eu-west-1")]).region(), "eu-west-1");
        assert_eq!(identity(&[("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "eu-west-2")]).region(), "eu-west-2");
    }
}
