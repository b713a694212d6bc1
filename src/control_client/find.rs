//! Objects by what people call them.

use serde_json::Value;

use super::client::{ControlClient, Resource};
use super::error::ControlClientError;
use crate::control::model::{Kind, model};
use crate::similar::nearest;

// === impl ControlClient ===

impl ControlClient {
    /// The gateway with this id, ARN or name. An id wins over a name.
    ///
    /// # Errors
    /// [`ControlClientError::Unknown`], or what the control plane answers.
    pub async fn find_gateway(&self, wanted: &str) -> Result<Value, ControlClientError> {
        if wanted.starts_with("arn:") || fits("GatewayIdentifier", wanted) {
            match self.get(&Resource::Gateway(wanted.to_owned())).await {
                Err(error) if error.is_not_found() => {}
                found => return found,
            }
        }
        let id = named("gateway", wanted, "gatewayId", &self.gateways().await?)?;
        self.get(&Resource::Gateway(id)).await
    }

    /// The target of a gateway with this id or name. An id wins over a name.
    ///
    /// # Errors
    /// [`ControlClientError::Unknown`], or what the control plane answers.
    pub async fn find_target(&self, gateway: &str, wanted: &str) -> Result<Value, ControlClientError> {
        let target = |id| Resource::Target { gateway: gateway.to_owned(), id };
        if fits("TargetId", wanted) {
            match self.get(&target(wanted.to_owned())).await {
                Err(error) if error.is_not_found() => {}
                found => return found,
            }
        }
        let id = named("target", wanted, "targetId", &self.targets(gateway).await?)?;
        self.get(&target(id)).await
    }
}

/// Whether a text can be an id: the control plane refuses to look for one that cannot.
fn fits(shape: &str, text: &str) -> bool {
    let kind = model().shape_named(shape).map(|id| &model().shape(id).kind);
    matches!(kind, Some(Kind::String { pattern: Some(pattern), .. }) if pattern.matches(text))
}

fn named(kind: &'static str, wanted: &str, id: &str, items: &[Value]) -> Result<String, ControlClientError> {
    let name = |item: &Value| item["name"].as_str().map(str::to_owned);
    let found = items.iter().find(|item| item["name"] == wanted).and_then(|item| item[id].as_str());
    found.map(str::to_owned).ok_or_else(|| {
        let similar = nearest(wanted, items.iter().filter_map(name));
        ControlClientError::Unknown { kind, wanted: wanted.to_owned(), similar }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_be_an_id_is_known() {
        assert!(fits("GatewayIdentifier", "shop-0123456789"));
        assert!(!fits("GatewayIdentifier", "shop") && !fits("GatewayIdentifier", "Shop-0123456789"));
        assert!(fits("TargetId", "ABCDEFGHIJ") && !fits("TargetId", "cart"));
    }

    #[test]
    fn a_misspelt_name_has_a_suggestion() {
        let items = [json!({"name": "shop", "gatewayId": "shop-1"}), json!({"name": "bank", "gatewayId": "bank-1"})];
        assert_eq!(named("gateway", "bank", "gatewayId", &items).unwrap(), "bank-1");
        let error = named("gateway", "shpo", "gatewayId", &items).unwrap_err().to_string();
        assert_eq!(error, "there is no gateway `shpo`; did you mean `shop`?");
        let error = named("gateway", "zzz", "gatewayId", &items).unwrap_err().to_string();
        assert_eq!(error, "there is no gateway `zzz`");
    }
}
