//! Members from a file, and members within members.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::Failure;
use crate::config::load::{MAX_FILE_BYTES, read};
use crate::control::model::OperationName;
use crate::control_client::is_answer_only;

/// Members of a request, by their names in the API.
pub type Members = Map<String, Value>;

/// Reads members as a request has them, or an answer of `get`: what only answers have is left out. Blocking.
pub fn members(file: &Path, get: OperationName, create: OperationName) -> Result<Members, Failure> {
    let text = text(file)?;
    let fault = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let value: Value = if is_json {
        serde_json::from_str(&text).map_err(|error| fault(format!("is not JSON: {error}")))?
    } else {
        // JSON is YAML.
        serde_saphyr::from_str(&text).map_err(|error| fault(format!("is not YAML: {error}")))?
    };
    match value {
        Value::Object(mut members) => {
            members.retain(|name, _| !is_answer_only(get, create, name));
            Ok(members)
        }
        _ => Err(fault("has no members: an object is expected, as the API has it".into())),
    }
}

/// Reads a text; `-` is standard input. Blocking.
pub fn text(file: &Path) -> Result<String, Failure> {
    if file.as_os_str() != "-" {
        return read(file).map_err(|errors| Failure::Usage(errors.to_string()));
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
    match text.len() as u64 {
        0..=MAX_FILE_BYTES => Ok(text),
        _ => Err(Failure::Usage(format!("standard input has more than {MAX_FILE_BYTES} bytes"))),
    }
}

/// Sets the member at a path, or takes it away, and what is empty without it.
pub fn put(members: &mut Members, path: &[&str], value: Option<Value>) -> Result<(), Failure> {
    let [name, rest @ ..] = path else { return Ok(()) };
    if rest.is_empty() {
        match value {
            Some(value) => members.insert((*name).to_owned(), value),
            None => members.remove(*name),
        };
        return Ok(());
    }
    if value.is_none() && !members.contains_key(*name) {
        return Ok(());
    }
    let inner = members.entry(*name).or_insert_with(|| Value::Object(Members::new()));
    let Value::Object(inner) = inner else {
        return Err(Failure::Usage(format!("`{name}` is no object with members in what --from has")));
    };
    put(inner, rest, value)?;
    if inner.is_empty() {
        members.remove(*name);
    }
    Ok(())
}

/// A text as a member: an empty one is none.
pub fn or_none(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::String(text.to_owned()))
}

/// A list as a member: one that has nothing but an empty text is none.
pub fn list_or_none(list: &[String]) -> Option<Value> {
    let items: Vec<Value> = list.iter().filter_map(|item| or_none(item)).collect();
    (!items.is_empty()).then_some(Value::Array(items))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GET: OperationName = OperationName::GetGateway;
    const CREATE: OperationName = OperationName::CreateGateway;

    fn object(value: Value) -> Members {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn members_are_read_from_json_and_yaml() {
        let folder = tempfile::tempdir().unwrap();
        let expected = json!({"name": "a", "protocolConfiguration": {"mcp": {"supportedVersions": ["2025-11-25"],
            "sessionConfiguration": {"sessionTimeoutInSeconds": 900}}}});
        let yaml = "name: a\nstatus: READY\nprotocolConfiguration:\n  mcp:\n    supportedVersions: ['2025-11-25']\n    \
                    sessionConfiguration: {sessionTimeoutInSeconds: 900}\n";
        for (name, text) in [("m.json", expected.to_string()), ("m.yaml", yaml.to_owned()), ("m", expected.to_string())]
        {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            assert_eq!(json!(members(&file, GET, CREATE).unwrap()), expected, "{name}");
        }
        for (name, text) in [("m.json", "{"), ("m.yaml", "- a"), ("m.yaml", "a: [")] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            assert!(members(&file, GET, CREATE).unwrap_err().to_string().contains(name));
        }
        assert!(members(&folder.path().join("nothing"), GET, CREATE).is_err());
    }

    #[test]
    fn a_member_comes_and_goes_with_what_is_around_it() {
        let path = ["protocolConfiguration", "mcp", "instructions"];
        let mut members = Members::new();
        put(&mut members, &path, None).unwrap();
        assert!(members.is_empty());
        put(&mut members, &path, Some(json!("x"))).unwrap();
        assert_eq!(json!(members), json!({"protocolConfiguration": {"mcp": {"instructions": "x"}}}));
        put(&mut members, &path, None).unwrap();
        assert!(members.is_empty());
        let mut members =
            object(json!({"protocolConfiguration": {"mcp": {"instructions": "x", "searchType": "SEMANTIC"}}}));
        put(&mut members, &path, None).unwrap();
        assert_eq!(json!(members), json!({"protocolConfiguration": {"mcp": {"searchType": "SEMANTIC"}}}));
        let mut wrong = object(json!({"protocolConfiguration": 3}));
        assert!(put(&mut wrong, &path, Some(json!("x"))).is_err());
    }
}
