//! What a client wants to hear, and what of it the gateway can tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sessiongate_actors::catalogue::Snapshot;
use sessiongate_protocol::RawJson;
use sessiongate_protocol::cursor::ListKind;
use sessiongate_protocol::members::Members;

/// Resources that one stream may watch.
const MAX_URIS: usize = 256;
/// Tasks that one stream may watch.
const MAX_TASKS: usize = 64;
/// Longest URI of a resource, in bytes.
const MAX_URI: usize = 8192;

/// `SubscriptionFilter`; members that this gateway does not know are not honoured.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    #[serde(skip_serializing_if = "is_off")]
    tools_list_changed: Option<bool>,
    #[serde(skip_serializing_if = "is_off")]
    prompts_list_changed: Option<bool>,
    #[serde(skip_serializing_if = "is_off")]
    resources_list_changed: Option<bool>,
    #[serde(skip_serializing_if = "is_empty")]
    resource_subscriptions: Option<Vec<Box<str>>>,
    /// Of the extension for tasks.
    #[serde(skip_serializing_if = "is_empty")]
    task_ids: Option<Vec<Box<str>>>,
}

fn is_off(wanted: &Option<bool>) -> bool {
    *wanted != Some(true)
}

fn is_empty(uris: &Option<Vec<Box<str>>>) -> bool {
    uris.as_ref().is_none_or(Vec::is_empty)
}

// === impl Filter ===

impl Filter {
    /// Reads `params.notifications`; the error is for the client.
    pub fn of(params: Option<&RawJson>) -> Result<Self, String> {
        let members = params.map(Members::of).transpose().map_err(|_| "`params` cannot be read")?;
        let text =
            members.and_then(|members| members.get("notifications")).ok_or("`params.notifications` is missing")?;
        if Members::of_str(text.get()).is_err() {
            return Err("`params.notifications` must be an object without duplicate members".into());
        }
        let filter: Self = serde_json::from_str(text.get()).map_err(
            |_| "`params.notifications` must hold booleans, and strings in `resourceSubscriptions` and `taskIds`",
        )?;
        let uris = filter.resource_subscriptions.as_deref().unwrap_or_default();
        if uris.len() > MAX_URIS {
            return Err(format!("`resourceSubscriptions` holds {} URIs: the limit is {MAX_URIS}", uris.len()));
        }
        if uris.iter().any(|uri| uri.len() > MAX_URI) {
            return Err(format!("a URI of `resourceSubscriptions` has more than {MAX_URI} bytes"));
        }
        let tasks = filter.tasks().len();
        if tasks > MAX_TASKS {
            return Err(format!("`taskIds` holds {tasks} ids: the limit is {MAX_TASKS}"));
        }
        Ok(filter)
    }

    /// The tasks that are asked for, by their ids.
    pub fn tasks(&self) -> &[Box<str>] {
        self.task_ids.as_deref().unwrap_or_default()
    }

    /// The part of it that the gateway can tell: lists that some target has, resources whose target takes
    /// subscriptions, and these tasks.
    pub fn honoured(self, catalogue: &Snapshot, tasks: Vec<Box<str>>) -> Self {
        let can = catalogue.capabilities();
        let watchable =
            |uri: &str| catalogue.route_uri(uri).is_some_and(|target| catalogue.capabilities_of(&target).subscribe);
        let mut uris = self.resource_subscriptions.unwrap_or_default();
        uris.sort_unstable();
        uris.dedup();
        uris.retain(|uri| watchable(uri));
        Self {
            tools_list_changed: self.tools_list_changed.filter(|_| can.tools),
            prompts_list_changed: self.prompts_list_changed.filter(|_| can.prompts),
            resources_list_changed: self.resources_list_changed.filter(|_| can.resources),
            resource_subscriptions: Some(uris),
            task_ids: Some(tasks),
        }
    }

    /// The lists whose changes are told.
    pub fn lists(&self) -> impl Iterator<Item = ListKind> {
        [
            (self.tools_list_changed, ListKind::Tools),
            (self.prompts_list_changed, ListKind::Prompts),
            (self.resources_list_changed, ListKind::Resources),
        ]
        .into_iter()
        .filter_map(|(wanted, list)| (wanted == Some(true)).then_some(list))
    }

    /// The resources that are watched, by target.
    pub fn resources(&self, catalogue: &Snapshot) -> BTreeMap<Arc<str>, Vec<Box<str>>> {
        let mut by_target: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for uri in self.resource_subscriptions.iter().flatten() {
            if let Some(target) = catalogue.route_uri(uri) {
                by_target.entry(target).or_default().push(uri.clone());
            }
        }
        by_target
    }

    /// Whether a notification of this method is asked for. A resource that changed may be a part of the one that is
    /// watched, so its URI says nothing.
    pub fn admits(&self, method: &str) -> bool {
        match method {
            "notifications/resources/updated" => !is_empty(&self.resource_subscriptions),
            _ => ListKind::of_changed_method(method).is_some_and(|list| self.lists().any(|wanted| wanted == list)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(notifications: &str) -> Result<Filter, String> {
        let params = RawJson::parse(format!(r#"{{"_meta":{{}},"notifications":{notifications}}}"#)).unwrap();
        Filter::of(Some(&params))
    }

    #[test]
    fn only_what_was_asked_for_is_admitted() {
        let tools = "notifications/tools/list_changed";
        let updated = "notifications/resources/updated";
        let filter = read(r#"{"toolsListChanged":true,"promptsListChanged":false,"taskIds":["t"],"x":{}}"#).unwrap();
        assert!(filter.admits(tools));
        for method in
            ["notifications/prompts/list_changed", updated, "notifications/message", "notifications/progress", "x"]
        {
            assert!(!filter.admits(method), "{method}");
        }
        assert_eq!(serde_json::to_string(&filter).unwrap(), r#"{"toolsListChanged":true,"taskIds":["t"]}"#);
        let filter = read(r#"{"resourceSubscriptions":["a:b"]}"#).unwrap();
        assert!(filter.admits(updated) && !filter.admits(tools));
        assert!(!read(r#"{"resourceSubscriptions":[]}"#).unwrap().admits(updated));
        assert_eq!(read("{}").unwrap(), Filter::default());
    }

    #[test]
    fn what_is_malformed_or_too_much_is_refused() {
        assert!(Filter::of(None).unwrap_err().contains("missing"));
        for text in ["[]", "7", "null", r#"{"toolsListChanged":1}"#, r#"{"resourceSubscriptions":[7]}"#] {
            assert!(read(text).unwrap_err().contains("notifications"), "{text}");
        }
        assert!(read(r#"{"toolsListChanged":true,"toolsListChanged":true}"#).is_err());
        let many: Vec<String> = (0..=MAX_URIS).map(|at| format!("x:{at}")).collect();
        let refused = read(&serde_json::json!({"resourceSubscriptions": many}).to_string()).unwrap_err();
        assert!(refused.contains("257") && refused.contains("256"), "{refused}");
        assert!(read(&serde_json::json!({"resourceSubscriptions": many[1..]}).to_string()).is_ok());
        assert!(read(&serde_json::json!({"taskIds": many[..MAX_TASKS]}).to_string()).is_ok());
        assert!(read(&serde_json::json!({"taskIds": many[..=MAX_TASKS]}).to_string()).unwrap_err().contains("64"));
        let long = "x".repeat(MAX_URI + 1);
        assert!(read(&serde_json::json!({"resourceSubscriptions": [long]}).to_string()).is_err());
    }
}
