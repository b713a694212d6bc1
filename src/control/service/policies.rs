//! Resource policies.

use serde_json::{Value, json};

use super::Control;
use crate::auth::policy::Policy;
use crate::control::ControlError;
use crate::control::model::Input;

impl Control {
    pub(super) async fn put_policy(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let arn = &self.resource(input)?;
        let text = input.string("policy").unwrap_or_default();
        let policy = Policy::parse(text).map_err(|error| ControlError::field("policy", error.to_string()))?;
        self.tables.set_policy(&writing, arn, Some(text)).await?;
        self.serve_policy(arn, Some(policy));
        Ok(json!({"policy": text}))
    }

    /// A resource that exists and has no policy is no error: the member is left out, which the SDKs read as none.
    pub(super) fn get_policy(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let arn = &self.resource(input)?;
        Ok(self.tables.policy(arn).map_or_else(|| json!({}), |policy| json!({"policy": &*policy})))
    }

    pub(super) async fn delete_policy(&self, input: &Input<'_>) -> Result<Value, ControlError> {
        let writing = self.tables.lock().await;
        let arn = &self.resource(input)?;
        if self.tables.policy(arn).is_none() {
            return Err(ControlError::ResourceNotFound { message: format!("{arn} has no resource policy") });
        }
        self.tables.set_policy(&writing, arn, None).await?;
        self.serve_policy(arn, None);
        Ok(json!({}))
    }
}
