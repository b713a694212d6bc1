//! Pages that a client must open, and other questions, carried from one era to the other.

use serde_json::value::RawValue;

use super::input_required::{InputRequest, InputRequired, MAX_REQUESTS};
use crate::elicitation::UrlRequired;
use crate::elicitation::url_required::UrlRequiredError;
use crate::json::RawJson;
use crate::jsonrpc::ErrorShape;
use crate::members::Members;
use crate::meta::{ParamsError, members, quoted};

/// A -32042 of a legacy target as questions for a modern client: one page per entry, under the keys `u1`, `u2` and so
/// on, without the ids, which that era does not have. There is no state: the call has failed, and repeating the
/// request is calling again. Of more entries than fit the first are asked for; the next call asks for the rest.
///
/// # Errors
/// Where the error is another one, or one that a target must not send.
pub fn to_input_required(error: &RawJson) -> Result<InputRequired, UrlRequiredError> {
    UrlRequired::read(error)?;
    let shape: ErrorShape<'_> = error.borrow().map_err(|_| UrlRequiredError::OtherError)?;
    let data = shape.data.and_then(|data| Members::of_str(data.get()).ok()).ok_or(UrlRequiredError::NoList)?;
    let list: Vec<&RawValue> = data
        .get("elicitations")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or(UrlRequiredError::NoList)?;
    let mut requests = Vec::with_capacity(list.len().min(MAX_REQUESTS));
    for (at, entry) in list.into_iter().take(MAX_REQUESTS).enumerate() {
        let reason = "not an object, or one with a duplicate member";
        let entry = Members::of_str(entry.get()).map_err(|_| UrlRequiredError::BadEntry { at, reason })?;
        requests.push(InputRequest {
            key: format!("u{}", at + 1).into(),
            method: "elicitation/create".into(),
            params: Some(entry.with(&[("elicitationId", None)])),
        });
    }
    Ok(InputRequired { requests, request_state: None })
}

/// The params of a URL elicitation of a modern target for a legacy client, which needs an id to tell pages apart:
/// one of the gateway's own. A form has none and comes back as it is, as does anything else.
///
/// # Errors
/// Where `params` or its mode cannot be read.
pub fn to_legacy_params(params: &RawJson, elicitation_id: &str) -> Result<RawJson, ParamsError> {
    match crate::elicitation::Mode::of(params)? {
        crate::elicitation::Mode::Form => Ok(params.clone()),
        crate::elicitation::Mode::Url => Ok(members(params)?.with(&[("elicitationId", Some(&quoted(elicitation_id)))])),
    }
}

/// The params of a request of a legacy target for a modern client: without `elicitationId` and `task`, which that era
/// does not have.
///
/// # Errors
/// Where `params` cannot be read.
pub fn to_modern_params(params: &RawJson) -> Result<RawJson, ParamsError> {
    let members = members(params)?;
    if members.get("elicitationId").is_none() && members.get("task").is_none() {
        return Ok(params.clone());
    }
    Ok(members.with(&[("elicitationId", None), ("task", None)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn pages_become_questions_without_ids() {
        let error = raw(r#"{"code":-32042,"message":"m","data":{"elicitations":[
                {"mode":"url","elicitationId":"b","url":"https:\/\/x/?t=1","message":"m"},
                {"elicitationId":"a","mode":"url","url":"https://y","message":"n","x":[ 1 ]}]}}"#);
        let asked = to_input_required(&error).unwrap();
        assert_eq!(
            asked.write(&raw("{}")).as_str(),
            concat!(
                r#"{"resultType":"input_required","inputRequests":{"#,
                r#""u1":{"method":"elicitation/create","params":{"mode":"url","url":"https:\/\/x/?t=1","message":"m"}},"#,
                r#""u2":{"method":"elicitation/create","params":{"mode":"url","url":"https://y","message":"n","x":[ 1 ]}}},"#,
                r#""_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#
            )
        );
        assert_eq!(InputRequired::parse(&asked.write(&raw("{}"))), Ok(asked));
        let entry = r#"{"mode":"url","elicitationId":"a","url":"u"}"#;
        let many = format!(r#"{{"code":-32042,"message":"m","data":{{"elicitations":[{}]}}}}"#, [entry; 40].join(","));
        assert_eq!(to_input_required(&raw(&many)).unwrap().requests.len(), MAX_REQUESTS);
        let other = raw(r#"{"code":-32602,"message":"m"}"#);
        assert_eq!(to_input_required(&other), Err(UrlRequiredError::OtherError));
    }

    #[test]
    fn ids_come_and_go_with_the_era() {
        let modern = raw(r#"{"mode":"url","message":"m","url":"https:\/\/x"}"#);
        let legacy = to_legacy_params(&modern, "e\"1").unwrap();
        assert_eq!(legacy.as_str(), r#"{"mode":"url","message":"m","url":"https:\/\/x","elicitationId":"e\"1"}"#);
        assert_eq!(to_modern_params(&legacy).unwrap(), modern);
        let form = raw(r#"{"message":"m","requestedSchema":{ }}"#);
        assert_eq!(to_legacy_params(&form, "e").unwrap(), form);
        assert_eq!(to_modern_params(&form).unwrap(), form);
        assert!(to_legacy_params(&raw("[]"), "e").is_err());
    }
}
