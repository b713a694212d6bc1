//! Ids of tasks in what passes: the client knows a task by another id than its target does.

use memchr::memmem;

use crate::json::RawJson;
use crate::members::Members;
use crate::meta::quoted;
use crate::modern::results::RELATED_TASK;

/// Whether an object may name the task that it belongs to: a search that is cheap, and usually ends it.
pub fn may_relate(object: &RawJson) -> bool {
    // The slash of the name may be escaped, so its end is looked for.
    memmem::find(object.as_bytes(), b"related-task").is_some()
}

/// The id in a `CreateTaskResult`.
pub fn created_id(result: &RawJson) -> Option<Box<str>> {
    let members = Members::of(result).ok()?;
    let task = Members::of_str(members.get("task")?.get()).ok()?;
    Some(task.get_str("taskId")?.into())
}

/// A task under this id. `ttl` is required, and left out by servers for which a task has no limit: strict clients refuse that.
pub fn named(task: &RawJson, id: &str) -> RawJson {
    match Members::of(task) {
        Ok(members) if members.get("taskId").is_some() => named_members(&members, id),
        _ => task.clone(),
    }
}

fn named_members(members: &Members<'_>, id: &str) -> RawJson {
    let mut changes = vec![("taskId", Some(quoted(id)))];
    if members.get("ttl").is_none() {
        changes.push(("ttl", Some("null".into())));
    }
    let changes: Vec<_> = changes.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    members.with(&changes)
}

/// A `CreateTaskResult` that hands out the task under this id.
pub fn with_created_id(result: &RawJson, id: &str) -> RawJson {
    let set = || {
        let members = Members::of(result).ok()?;
        let task = Members::of_str(members.get("task")?.get()).ok()?;
        let task = named_members(&task, id);
        Some(members.with(&[("task", Some(task.as_str()))]))
    };
    set().unwrap_or_else(|| result.clone())
}

/// The task that params or a result belong to.
pub fn related(object: &RawJson) -> Option<Box<str>> {
    if !may_relate(object) {
        return None;
    }
    let members = Members::of(object).ok()?;
    let meta = Members::of_str(members.get("_meta")?.get()).ok()?;
    let related = Members::of_str(meta.get(RELATED_TASK)?.get()).ok()?;
    Some(related.get_str("taskId")?.into())
}

/// Params or a result of this task, whatever they said of it before. What is no object comes back as it was.
pub fn with_related(object: &RawJson, id: &str) -> RawJson {
    let Ok(members) = Members::of(object) else { return object.clone() };
    let meta = members.get("_meta").and_then(|raw| Members::of_str(raw.get()).ok());
    let known = meta.as_ref().and_then(|meta| Members::of_str(meta.get(RELATED_TASK)?.get()).ok());
    let related = match known {
        Some(known) => known.with(&[("taskId", Some(&quoted(id)))]).as_str().to_owned(),
        None => format!("{{\"taskId\":{}}}", quoted(id)),
    };
    let meta = match meta {
        Some(meta) => meta.with(&[(RELATED_TASK, Some(&related))]).as_str().to_owned(),
        None => format!("{{\"{RELATED_TASK}\":{related}}}"),
    };
    members.with(&[("_meta", Some(&meta))])
}

/// The tasks of a page of `tasks/list` that `id` gives a name to, under it: nobody is shown those of others.
///
/// # Errors
/// Where the page cannot be read.
pub fn listed(result: &RawJson, mut id: impl FnMut(&str) -> Option<String>) -> Result<Vec<RawJson>, serde_json::Error> {
    let members = Members::of(result)?;
    let tasks: Vec<RawJson> = match members.get("tasks") {
        Some(tasks) => serde_json::from_str(tasks.get())?,
        None => Vec::new(),
    };
    let shown = tasks.iter().filter_map(|task| {
        let members = Members::of(task).ok()?;
        let id = id(&members.get_str("taskId")?)?;
        Some(named_members(&members, &id))
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_handle_keeps_all_but_its_id() {
        let handle = raw(r#"{"_meta":{ "a":1},"task":{"taskId":"\u0061","status":"working","ttl":1.0e3,"x":[ ]}}"#);
        assert_eq!(created_id(&handle).as_deref(), Some("a"));
        let shown = with_created_id(&handle, "T\"");
        assert_eq!(
            shown.as_str(),
            r#"{"_meta":{ "a":1},"task":{"taskId":"T\"","status":"working","ttl":1.0e3,"x":[ ]}}"#
        );
        for odd in [r#"{"content":[]}"#, r#"{"task":7}"#, r#"{"task":{"taskId":7}}"#, "[]"] {
            assert_eq!(created_id(&raw(odd)), None, "{odd}");
        }
        assert_eq!(with_created_id(&raw(r#"{"task":7}"#), "T").as_str(), r#"{"task":7}"#);
    }

    #[test]
    fn what_belongs_to_a_task_is_told_under_the_other_id() {
        let of = |text: &str| with_related(&raw(text), "T").as_str().to_owned();
        let said = r#"{"x":[ ],"_meta":{"io.modelcontextprotocol\/related-task":{"taskId":"t","y":1.0}}}"#;
        assert_eq!(related(&raw(said)).as_deref(), Some("t"));
        assert_eq!(of(said), said.replace(r#""t""#, r#""T""#).replace(r"\/", "/"));
        assert_eq!(of("{}"), r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"T"}}}"#);
        assert_eq!(
            of(r#"{"_meta":{"a":[ ]}}"#),
            r#"{"_meta":{"a":[ ],"io.modelcontextprotocol/related-task":{"taskId":"T"}}}"#
        );
        assert_eq!(of("[]"), "[]");
        for none in ["{}", r#"{"x":"related-task"}"#, r#"{"_meta":{"io.modelcontextprotocol/related-task":7}}"#] {
            assert_eq!(related(&raw(none)), None, "{none}");
        }
    }

    #[test]
    fn a_list_shows_only_what_has_a_name() {
        assert_eq!(named(&raw(r#"{"taskId":"a","x":1.0}"#), "A").as_str(), r#"{"taskId":"A","x":1.0,"ttl":null}"#);
        assert_eq!(named(&raw(r#"{"ttl":1}"#), "A").as_str(), r#"{"ttl":1}"#);
        let page = raw(r#"{"tasks":[{"taskId":"a","ttl":1.0},{"taskId":"b"},{"taskId":7},3],"nextCursor":"c"}"#);
        let shown = listed(&page, |id| (id == "a").then(|| "A".to_owned())).unwrap();
        assert_eq!(shown, [raw(r#"{"taskId":"A","ttl":1.0}"#)]);
        assert_eq!(listed(&raw("{}"), |_| None).unwrap(), []);
        assert!(listed(&raw(r#"{"tasks":7}"#), |_| None).is_err());
    }
}
