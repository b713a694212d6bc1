//! As whom a call is signed: the process itself, or the role of a gateway.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::assumed::AssumedRole;
use super::identity::{AwsCredentials, AwsIdentity};
use super::roles::{RoleKey, Roles};
use super::signer::Signer;
use super::sts::{AssumeError, Sts};
use crate::outbound::Outbound;

/// Roles that are assumed at once; of more, those that are used least are assumed anew.
const ASSUMED: usize = 4096;

/// The role of a gateway. Two gateways with one role have a session of it each, so that a trail shows who called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayRole {
    /// Its ARN.
    pub role: Arc<str>,
    /// `gatewayId`.
    pub gateway: Arc<str>,
}

/// All keys that the process signs with.
pub struct AwsKeys {
    own: Arc<AwsIdentity>,
    /// None: roles say nothing.
    roles: Option<Arc<Roles>>,
    sts: Sts,
    assumed: Cache<GatewayRole, Arc<AssumedRole>>,
}

/// As whom calls are signed. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    who: Who,
}

#[derive(Clone)]
enum Who {
    Own(Arc<AwsIdentity>),
    Role(Arc<AwsKeys>, GatewayRole),
}

/// Why there is no key to sign with. Displayed texts are for whoever configures a gateway; [`KeyError::detail`] is for the
/// log.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The process has none.
    #[error(
        "the gateway has no AWS credentials: set `aws.access_key_id` and `aws.secret_access_key`, or AWS_ACCESS_KEY_ID \
         and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    /// The configuration does not know the role.
    #[error("the role {role} is not among `aws.roles` of the gateway's configuration: list it there, or take another")]
    NotListed {
        /// Its ARN.
        role: Arc<str>,
    },
    /// STS did not give one.
    #[error("the role {role} could not be assumed: {error}")]
    Assume {
        /// Its ARN.
        role: Arc<str>,
        /// Why.
        error: Arc<AssumeError>,
    },
}

// === impl AwsKeys ===

impl AwsKeys {
    /// The process's own key and those of roles; without `roles` everything is signed with its own.
    pub fn new(outbound: Outbound, own: AwsIdentity, roles: Option<Arc<Roles>>) -> Arc<Self> {
        let sts = Sts::new(outbound, own.clone());
        Arc::new(Self { own: Arc::new(own), roles, sts, assumed: Cache::new(ASSUMED) })
    }

    /// The caller for a gateway with this role. What calls without one is the process itself.
    pub fn caller(self: &Arc<Self>, role: Option<&GatewayRole>) -> Caller {
        match role.filter(|_| self.roles.is_some()) {
            Some(role) => Caller { who: Who::Role(self.clone(), role.clone()) },
            None => Caller { who: Who::Own(self.own.clone()) },
        }
    }

    fn key(&self, role: &GatewayRole) -> Result<&RoleKey, KeyError> {
        let found = self.roles.as_ref().and_then(|roles| roles.find(&role.role));
        found.ok_or_else(|| KeyError::NotListed { role: role.role.clone() })
    }

    fn own(&self) -> Result<&AwsCredentials, KeyError> {
        self.own.credentials.as_ref().ok_or(KeyError::NoCredentials)
    }

    async fn credentials(&self, role: &GatewayRole) -> Result<AwsCredentials, KeyError> {
        match self.key(role)? {
            RoleKey::Own => self.own().cloned(),
            RoleKey::Fixed(key) => Ok(key.clone()),
            RoleKey::Assume => {
                self.own()?;
                let new = || Ok::<_, KeyError>(Arc::new(AssumedRole::new(role.clone())));
                let assumed = self.assumed.get_or_insert_with(role, new)?;
                let failed = |error| KeyError::Assume { role: role.role.clone(), error };
                assumed.credentials(&self.sts).await.map_err(failed)
            }
        }
    }
}

// === impl Caller ===

impl Caller {
    /// The process itself.
    pub fn own(identity: AwsIdentity) -> Self {
        Self { who: Who::Own(Arc::new(identity)) }
    }

    /// The region of calls that nothing else gives one for.
    pub fn region(&self) -> &str {
        match &self.who {
            Who::Own(identity) => identity.region(),
            Who::Role(keys, _) => keys.own.region(),
        }
    }

    /// Refuses a role that is not listed, also for what is not signed.
    ///
    /// # Errors
    /// [`KeyError::NotListed`].
    pub fn may_call(&self) -> Result<(), KeyError> {
        match &self.who {
            Who::Own(_) => Ok(()),
            Who::Role(keys, role) => keys.key(role).map(drop),
        }
    }

    /// Refuses a caller that has no key and cannot get one, as far as that is known without asking anybody.
    ///
    /// # Errors
    /// [`KeyError::NoCredentials`], [`KeyError::NotListed`].
    pub fn has_key(&self) -> Result<(), KeyError> {
        match &self.who {
            Who::Own(identity) => identity.credentials.as_ref().map(drop).ok_or(KeyError::NoCredentials),
            Who::Role(keys, role) => match keys.key(role)? {
                RoleKey::Fixed(_) => Ok(()),
                // Taking a role on is asked for with the process's own key.
                RoleKey::Own | RoleKey::Assume => keys.own().map(drop),
            },
        }
    }

    /// Signs one call: a signer must not be kept, its key may be a temporary one. It may have to be fetched first, which
    /// takes some seconds at most.
    ///
    /// # Errors
    /// Where there is no key; see [`KeyError`].
    pub async fn signer(&self, region: &str, service: &str) -> Result<Signer, KeyError> {
        match &self.who {
            Who::Own(identity) => {
                let key = identity.credentials.as_ref().ok_or(KeyError::NoCredentials)?;
                Ok(key.signer(region, service))
            }
            Who::Role(keys, role) => Ok(keys.credentials(role).await?.signer(region, service)),
        }
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.who {
            Who::Own(identity) => f.debug_tuple("Caller").field(identity).finish(),
            Who::Role(_, role) => f.debug_tuple("Caller").field(role).finish(),
        }
    }
}

// === impl KeyError ===

impl KeyError {
    /// What happened, for the operator: it may name addresses.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Assume { error, .. } => error.detail(),
            Self::NoCredentials | Self::NotListed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_map::HostMap;
    use crate::http::HttpOptions;

    #[tokio::test]
    async fn who_has_a_key_is_known_before_anything_is_signed() {
        let key = || AwsCredentials {
            access_key_id: "AKID".into(),
            secret_access_key: "s3cret".to_owned().into(),
            session_token: None,
        };
        let own = |credentials| AwsIdentity { credentials, region: None };
        let roles = [("own", RoleKey::Own), ("assume", RoleKey::Assume), ("fixed", RoleKey::Fixed(key()))];
        let roles = Arc::new(Roles::new(roles.map(|(name, key)| (name.to_owned(), key))));
        let outbound = Outbound::new(HttpOptions::default(), HostMap::default()).unwrap();
        let has_key = |identity, role: &str| {
            let role = GatewayRole { role: role.into(), gateway: "shop".into() };
            AwsKeys::new(outbound.clone(), identity, Some(roles.clone())).caller(Some(&role)).has_key()
        };
        for role in ["own", "assume", "fixed"] {
            assert!(has_key(own(Some(key())), role).is_ok(), "{role}");
        }
        assert!(has_key(own(None), "fixed").is_ok());
        for role in ["own", "assume"] {
            assert!(matches!(has_key(own(None), role), Err(KeyError::NoCredentials)), "{role}");
        }
        assert!(matches!(has_key(own(Some(key())), "other"), Err(KeyError::NotListed { .. })));
        assert!(Caller::own(own(Some(key()))).has_key().is_ok());
        assert!(matches!(Caller::own(own(None)).has_key(), Err(KeyError::NoCredentials)));
    }
}
