//! As whom the gateway calls AWS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sessiongate_targets::aws::{AwsCredentials, AwsIdentity};

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
}

// === impl AwsConfig ===

impl AwsConfig {
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
