//! The questions of one round: `inputRequests` as requests to the client, and its responses as `inputResponses`.

use serde::{Deserialize, Serialize};
use sessiongate_protocol::elicitation::Mode;
use sessiongate_protocol::members::Members;
use sessiongate_protocol::modern::input_required::InputRequest;
use sessiongate_protocol::{RawJson, Request, RequestId, ResponseBody};

use super::checkpoint::Opened;
use super::profile::Declared;

/// One question of a round.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Question {
    /// The target's name for it.
    pub(super) key: Box<str>,
    /// Its JSON-RPC id on this link.
    pub(super) id: RequestId,
    /// What the client is asked.
    pub(super) method: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) params: Option<RawJson>,
    /// The page it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<Opened>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Answer>,
}

/// What came of a question.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// For `inputResponses`.
    Given(RawJson),
    /// The page was agreed to in an earlier round: the person is not asked again.
    Repeated,
    /// The call cannot go on; the text is for the caller.
    Fatal(String),
}

/// Why a question cannot be put. The texts are for the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unaskable {
    #[error("the target asked for {0}, which the client did not declare")]
    Undeclared(&'static str),
    #[error("the target asked something that cannot be read: {0}")]
    Unreadable(String),
}

// === impl Question ===

impl Question {
    /// Makes a request of one entry of `inputRequests`.
    ///
    /// # Errors
    /// Where the client did not declare what it needs, or it cannot be read.
    pub(super) fn of_entry(
        entry: InputRequest,
        id: RequestId,
        declared: Declared,
        elicitation_id: impl FnOnce() -> String,
        opened: &[Opened],
    ) -> Result<Self, Unaskable> {
        let unreadable = |reason: &dyn std::fmt::Display| Unaskable::Unreadable(reason.to_string());
        let InputRequest { key, method, params } = entry;
        let mut question = Self { key, id, method, params, page: None, answer: None };
        match &*question.method {
            "elicitation/create" => {
                let params = question.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
                match Mode::of(&params).map_err(|error| unreadable(&error))? {
                    Mode::Form if declared.elicitation.form => {}
                    Mode::Form => return Err(Unaskable::Undeclared("form mode elicitation")),
                    Mode::Url if declared.elicitation.url => question.name_page(&params, elicitation_id, opened)?,
                    Mode::Url => return Err(Unaskable::Undeclared("URL mode elicitation")),
                }
            }
            "sampling/createMessage" if declared.sampling => {}
            "sampling/createMessage" => return Err(Unaskable::Undeclared("sampling")),
            "roots/list" if declared.roots => {}
            "roots/list" => return Err(Unaskable::Undeclared("roots")),
            _ => return Err(Unaskable::Undeclared("an unknown kind of input")),
        }
        Ok(question)
    }

    /// Gives a page the id that clients of 2025-11-25 need, or recognises one that was agreed to.
    fn name_page(
        &mut self,
        params: &RawJson,
        elicitation_id: impl FnOnce() -> String,
        opened: &[Opened],
    ) -> Result<(), Unaskable> {
        let unreadable = |reason: &str| Unaskable::Unreadable(reason.to_owned());
        let members = Members::of(params).map_err(|_| unreadable("the params of an elicitation"))?;
        let url = members.get_str("url").ok_or_else(|| unreadable("a URL elicitation without `url`"))?;
        let message = members.get_str("message").unwrap_or_default();
        if let Some(known) = opened.iter().find(|page| *page.url == *url && *page.message == *message) {
            self.page = Some(known.clone());
            self.answer = Some(Answer::Repeated);
            return Ok(());
        }
        let elicitation_id = elicitation_id();
        let quoted = serde_json::to_string(&elicitation_id).unwrap_or_default();
        self.params = Some(members.with(&[("elicitationId", Some(&quoted))]));
        self.page = Some(Opened { url: url.into(), message: message.into(), elicitation_id: elicitation_id.into() });
        Ok(())
    }

    /// The request as the client gets it.
    pub(super) fn request(&self) -> Request {
        Request { id: self.id.clone(), method: self.method.clone(), params: self.params.clone() }
    }

    /// What the client's response means to the target. A client that cannot answer ends an elicitation as a person
    /// would who closes the question; without roots a target goes on; but a target that needs a model cannot.
    pub(super) fn answer_of(&self, body: &ResponseBody) -> Answer {
        match body {
            ResponseBody::Result(result) => Answer::Given(result.clone()),
            ResponseBody::Error(_) => match &*self.method {
                "elicitation/create" => Answer::Given(literal(r#"{"action":"cancel"}"#)),
                "roots/list" => Answer::Given(literal(r#"{"roots":[]}"#)),
                _ => Answer::Fatal("the client refused the sampling that the target needs".into()),
            },
        }
    }

    /// The page, where the person agreed to visit it in this round.
    pub(super) fn newly_opened(&self) -> Option<&Opened> {
        let Some(Answer::Given(answer)) = &self.answer else { return None };
        let accepted = Members::of(answer).ok()?.get_str("action").as_deref() == Some("accept");
        self.page.as_ref().filter(|_| accepted)
    }

    /// Its entry of `inputResponses`; none while there is no answer.
    pub(super) fn response(&self) -> Option<RawJson> {
        match self.answer.as_ref()? {
            Answer::Given(answer) => Some(answer.clone()),
            Answer::Repeated => Some(literal(r#"{"action":"accept"}"#)),
            Answer::Fatal(_) => None,
        }
    }
}

fn literal(text: &'static str) -> RawJson {
    // The texts above are JSON.
    RawJson::parse(text).unwrap_or(RawJson::EMPTY_OBJECT)
}
