//! Identifiers: `gatewayId`, `targetId`, ARNs.

use super::ControlError;

/// Random characters at the end of a `gatewayId`, and of a whole `targetId`.
const RANDOM: usize = 10;

/// Whose the objects are: the account and the region that their ARNs name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Such as `us-east-1`.
    pub region: String,
}

// === impl Account ===

impl Account {
    /// The ARN of a gateway.
    pub fn gateway_arn(&self, id: &str) -> String {
        format!("arn:aws:bedrock-agentcore:{}:{}:gateway/{id}", self.region, self.id)
    }

    /// The ARN of the workload identity that a gateway has.
    pub fn workload_identity_arn(&self, id: &str) -> String {
        format!(
            "arn:aws:bedrock-agentcore:{}:{}:workload-identity-directory/default/workload-identity/{id}",
            self.region, self.id
        )
    }

    /// The `gatewayId` of an identifier, which may be the ARN of a gateway of this account. What names another account or
    /// region does not exist here.
    pub fn gateway_id<'a>(&self, identifier: &'a str) -> Option<&'a str> {
        if !identifier.starts_with("arn:") {
            return Some(identifier);
        }
        let mut parts = identifier.splitn(6, ':');
        let (_, partition, service) = (parts.next(), parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = partition == "aws" && service == "bedrock-agentcore" && region == self.region && account == self.id;
        ours.then(|| resource.strip_prefix("gateway/")).flatten().filter(|id| !id.contains('/'))
    }
}

/// A new `gatewayId`: the name in lower case, and random characters.
///
/// # Errors
/// [`ControlError::Internal`] where there are no random numbers.
pub fn new_gateway_id(name: &str) -> Result<String, ControlError> {
    let name = name.to_ascii_lowercase();
    Ok(format!("{}-{}", name.trim_end_matches('-'), random(b"abcdefghijklmnopqrstuvwxyz0123456789")?))
}

/// A new `targetId`.
///
/// # Errors
/// [`ControlError::Internal`] where there are no random numbers.
pub fn new_target_id() -> Result<String, ControlError> {
    random(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
}

fn random(letters: &[u8; 36]) -> Result<String, ControlError> {
    let mut bytes = [0u8; RANDOM];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| ControlError::Internal { detail: "the operating system gives no random numbers".into() })?;
    Ok(bytes.iter().map(|byte| char::from(letters[usize::from(*byte) % letters.len()])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { id: "123456789012".into(), region: "eu-west-1".into() }
    }

    #[test]
    fn ids_are_made_of_the_name() {
        let id = new_gateway_id("My-Shop-").unwrap();
        assert!(id.starts_with("my-shop-") && id.len() == "my-shop-".len() + 10, "{id}");
        assert_ne!(id, new_gateway_id("My-Shop-").unwrap());
        assert_eq!(new_target_id().unwrap().len(), 10);
    }

    #[test]
    fn an_arn_is_as_good_as_an_id_where_it_is_ours() {
        let arn = account().gateway_arn("shop-0123456789");
        assert_eq!(account().gateway_id(&arn), Some("shop-0123456789"));
        assert_eq!(account().gateway_id("shop-0123456789"), Some("shop-0123456789"));
        for foreign in [
            "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/shop-0123456789",
            "arn:aws:bedrock-agentcore:eu-west-1:999999999999:gateway/shop-0123456789",
            "arn:aws:lambda:eu-west-1:123456789012:gateway/shop-0123456789",
            "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/shop-0123456789",
            "arn:aws:bedrock-agentcore:eu-west-1:123456789012:gateway/shop/x",
            "arn:aws",
            "arn:aws-cn:bedrock-agentcore:eu-west-1:123456789012:gateway/shop-0123456789",
            "arn:awsx:bedrock-agentcore:eu-west-1:123456789012:gateway/shop-0123456789",
        ] {
            assert_eq!(account().gateway_id(foreign), None, "{foreign}");
        }
    }
}
