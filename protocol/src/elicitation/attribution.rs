//! Says who asks: behind a gateway every question looks as if the gateway asked it.

use crate::json::RawJson;
use crate::meta::{ParamsError, members, quoted, text_of, with_meta};

/// The `_meta` key that names the target, for clients that show it in their own way.
pub const TARGET_META: &str = "sessiongate.dev/target";

/// The params of an `elicitation/create` with `[target] ` before the message and the target's name in `_meta`; what a
/// target wrote there itself is overwritten. All else keeps its bytes. A message that has the prefix does not get it
/// twice, so that a question that is shown again after a restart looks as it did.
///
/// # Errors
/// Where `params` cannot be read or has no message: -32602 to the target.
pub fn attributed(params: &RawJson, target: &str) -> Result<RawJson, ParamsError> {
    let members = members(params)?;
    let message = text_of(&members, "message")?;
    let prefix = format!("[{target}] ");
    let name = RawJson::trusted(quoted(target));
    if message.starts_with(&prefix) {
        return with_meta(params, TARGET_META, &name);
    }
    with_meta(&members.with(&[("message", Some(&quoted(&(prefix + &message))))]), TARGET_META, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn the_message_names_the_target_once() {
        let params = raw(r#"{"x":1.0,"message":"What is your \"address\"?","requestedSchema":{ }}"#);
        let once = attributed(&params, "cart").unwrap();
        assert_eq!(
            once.as_str(),
            r#"{"x":1.0,"message":"[cart] What is your \"address\"?","requestedSchema":{ },"_meta":{"sessiongate.dev/target":"cart"}}"#
        );
        assert_eq!(attributed(&once, "cart").unwrap(), once);
    }

    #[test]
    fn a_target_cannot_speak_for_another() {
        let params = raw(r#"{"message":"[bank] PIN?","_meta":{"sessiongate.dev/target":"bank","a":1}}"#);
        assert_eq!(
            attributed(&params, "evil").unwrap().as_str(),
            r#"{"message":"[evil] [bank] PIN?","_meta":{"sessiongate.dev/target":"evil","a":1}}"#
        );
        assert!(attributed(&raw(r#"{"message":"a","message":"b"}"#), "evil").is_err());
        assert!(attributed(&raw(r#"{"message":7}"#), "evil").is_err());
        assert!(attributed(&raw("{}"), "evil").is_err());
    }
}
