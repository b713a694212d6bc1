//! Tags.

use serde_json::{Value, json};

use super::Control;
use crate::control::ControlError;
use crate::control::model::Input;
use crate::control::tables::Tags;

/// Tags of one resource.
const MAX_TAGS: usize = 50;

impl Control {
    pub(super) async fn tag(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let arn = &self.resource(input)?;
        let new: Tags =
            input.get("tags").cloned().and_then(|tags| serde_json::from_value(tags).ok()).unwrap_or_default();
        let mut tags = self.tables.tags(arn);
        tags.extend(new);
        if tags.len() > MAX_TAGS {
            return Err(ControlError::ServiceQuotaExceeded {
                message: format!("a resource has {MAX_TAGS} tags at most: remove some first"),
            });
        }
        self.tables.set_tags(&writing, arn, tags).await?;
        Ok(json!({}))
    }

    pub(super) async fn untag(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let arn = &self.resource(input)?;
        let mut tags = self.tables.tags(arn);
        for key in input.strings("tagKeys") {
            tags.remove(key);
        }
        self.tables.set_tags(&writing, arn, tags).await?;
        Ok(json!({}))
    }

    pub(super) fn list_tags(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        Ok(json!({"tags": self.tables.tags(&self.resource(input)?)}))
    }

    /// The ARN of a resource that exists, in the one spelling under which things of it are stored.
    pub(super) fn resource(&self, input: &Input<'_>) -> Result<String, ControlError> {
        let arn = input.string("resourceArn").unwrap_or_default();
        let id = arn.starts_with("arn:").then(|| self.account.gateway_id(arn)).flatten();
        if let Some(row) = id.and_then(|id| self.tables.gateway(id)) {
            return Ok(self.account.gateway_arn(&row.object.id));
        }
        Err(ControlError::ResourceNotFound { message: format!("there is no resource {arn}") })
    }
}
