//! Tasks of the extension `io.modelcontextprotocol/tasks` (SEP-2663) through the gateway: whose a task is, and what its id
//! looks like to the client.
//!
//! A target's id could be guessed, or be the same at two targets, so clients never see it: theirs is sealed, and opens
//! at the same gateway for the same principal alone.

mod carried;
pub mod legacy;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::carried::{Carried, Place};

use super::profile;
use crate::json::RawJson;
use crate::members::Members;
use crate::meta::quoted;
use crate::sealer::{SealError, Sealer, context};

/// The extension's name.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Whether a method is one of the extension's.
pub fn is_method(method: &str) -> bool {
    matches!(method, "tasks/get" | "tasks/update" | "tasks/cancel")
}

/// What a request must declare to use the extension: the shape of `data.requiredCapabilities`.
pub fn required() -> Value {
    json!({"extensions": {EXTENSION: {}}})
}

/// Whether capabilities, of either side, have the extension.
pub fn declared(capabilities: &RawJson) -> bool {
    profile::declares(capabilities, &required())
}

/// A task of a target.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The target's name.
    #[serde(rename = "t")]
    pub target: Box<str>,
    /// What the target calls it.
    #[serde(rename = "i")]
    pub id: Box<str>,
}

/// Whose tasks are meant. Nothing of it is in a token; both must be the same to open it.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The gateway's name.
    pub gateway: &'a str,
    /// A hash of the principal.
    pub principal: &'a [u8],
}

/// Why an object of a target cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// No object, a duplicate member, or no string of that name.
    #[error("a task without a readable `taskId`")]
    NoId,
    /// Too long to travel in a header.
    #[error("a `taskId` that is too long")]
    TooLong,
    /// No status, or one that no revision has.
    #[error("a task without a readable `status`")]
    NoStatus,
}

// === impl Task ===

impl Task {
    /// The client's id for it: not the same twice, of [`crate::sealer::MAX_TOKEN`] characters at most, as it travels
    /// in `Mcp-Name` too.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for an id of some thousand bytes.
    pub fn seal(&self, sealer: &Sealer, owner: Owner<'_>) -> Result<String, SealError> {
        // Two strings: serialising them cannot fail.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        sealer.seal(&owner.context(), &plain)
    }

    /// The task of a client's id; none for anything that was not sealed for this owner.
    pub fn open(sealer: &Sealer, owner: Owner<'_>, token: &str) -> Option<Self> {
        serde_json::from_slice(&sealer.open(&owner.context(), token)?).ok()
    }
}

impl fmt::Debug for Task {
    // The id is a capability at its target.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task(of {})", self.target)
    }
}

// === impl Owner ===

impl Owner<'_> {
    fn context(&self) -> Vec<u8> {
        context(&[b"taskId", self.gateway.as_bytes(), self.principal])
    }
}

// === objects ===

/// `taskId` of params or of a result.
pub fn id_of(object: &RawJson) -> Option<Box<str>> {
    Some(Members::of(object).ok()?.get_str("taskId")?.into())
}

/// An object that names a task, naming it so; all else keeps its bytes. One that names none, or cannot be read, comes
/// back as it was.
pub fn with_id(object: &RawJson, id: &str) -> RawJson {
    match Members::of(object) {
        Ok(members) if members.get("taskId").is_some() => members.with(&[("taskId", Some(&quoted(id)))]),
        _ => object.clone(),
    }
}

/// A result that hands out a task of this target, with the client's id in it.
///
/// # Errors
/// Where it names no task, or one that cannot be sealed.
pub fn created(result: &RawJson, target: &str, sealer: &Sealer, owner: Owner<'_>) -> Result<RawJson, TaskError> {
    let task = Task { target: target.into(), id: id_of(result).ok_or(TaskError::NoId)? };
    let token = task.seal(sealer, owner).map_err(|_| TaskError::TooLong)?;
    Ok(with_id(result, &token))
}

/// The result of one of the extension's methods, with the id that the client used. Some servers take the `resultType`
/// of the examples (`task`), where the text demands `complete`.
pub fn told(result: &RawJson, token: &str) -> RawJson {
    let result = with_id(result, token);
    match Members::of(&result) {
        Ok(members) if members.get_str("resultType").as_deref() == Some("task") => {
            members.with(&[("resultType", Some("\"complete\""))])
        }
        _ => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealer::{Key, MAX_TOKEN};

    const ALICE: Owner<'static> = Owner { gateway: "g", principal: b"alice" };

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn sealer() -> Sealer {
        Sealer::new(Key::new(1, [1; 32]), Vec::new()).unwrap()
    }

    #[test]
    fn an_id_opens_for_its_owner_alone() {
        let sealer = sealer();
        let task = Task { target: "t".into(), id: "7 é\n".into() };
        let token = task.seal(&sealer, ALICE).unwrap();
        assert_eq!(Task::open(&sealer, ALICE, &token), Some(task.clone()));
        for other in [Owner { principal: b"bob", ..ALICE }, Owner { gateway: "h", ..ALICE }] {
            assert_eq!(Task::open(&sealer, other, &token), None);
        }
        let mut changed = token.clone().into_bytes();
        changed[20] ^= 1;
        for bad in ["", "7 é\n", &String::from_utf8(changed).unwrap(), &token[1..]] {
            assert_eq!(Task::open(&sealer, ALICE, bad), None);
        }
        assert_eq!(format!("{task:?}"), "Task(of t)");
    }

    #[test]
    fn a_handle_keeps_all_but_its_id() {
        let sealer = sealer();
        let of = |text: &str| created(&raw(text), "t", &sealer, ALICE);
        let handle = of(r#"{"resultType":"task","taskId":"\u0061","ttlMs":1.0e3,"x":[ ]}"#).unwrap();
        let token = id_of(&handle).unwrap();
        assert_eq!(&*Task::open(&sealer, ALICE, &token).unwrap().id, "a");
        assert_eq!(handle.as_str(), format!(r#"{{"resultType":"task","taskId":"{token}","ttlMs":1.0e3,"x":[ ]}}"#));
        for odd in ["{}", "[]", r#"{"taskId":7}"#, r#"{"taskId":"a","taskId":"b"}"#] {
            assert_eq!(of(odd), Err(TaskError::NoId), "{odd}");
        }
        assert_eq!(of(&format!(r#"{{"taskId":"{}"}}"#, "x".repeat(MAX_TOKEN))), Err(TaskError::TooLong));
    }

    #[test]
    fn what_is_told_of_a_task_keeps_all_but_its_id() {
        let told = |text: &str| told(&raw(text), "T").as_str().to_owned();
        let status = r#"{"resultType":"complete","taskId":"a","inputRequests":{"k":{ "method":"x"}},"n":1.00}"#;
        assert_eq!(told(status), status.replace(r#""a""#, r#""T""#));
        assert_eq!(told(r#"{"resultType":"task","taskId":"a"}"#), r#"{"resultType":"complete","taskId":"T"}"#);
        for same in [r#"{"resultType": "complete"}"#, "{ }", "[]"] {
            assert_eq!(told(same), same);
        }
    }

    #[test]
    fn only_an_object_declares_the_extension() {
        for (text, expected) in [
            (r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, true),
            (r#"{"extensions":{"io.modelcontextprotocol\/tasks":{"x":1}},"tasks":{}}"#, true),
            (r#"{"extensions":{"io.modelcontextprotocol/tasks":true}}"#, false),
            (r#"{"extensions":{"io.modelcontextprotocol/tasks":null}}"#, false),
            (r#"{"extensions":{}}"#, false),
            (r#"{"tasks":{}}"#, false),
            ("[]", false),
        ] {
            assert_eq!(declared(&raw(text)), expected, "{text}");
        }
    }
}
