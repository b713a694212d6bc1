//! Questions of a server to the person at the terminal: forms to fill in and pages to visit.

mod answers;
mod form;
mod page;

use std::sync::Arc;

use rmcp::model::{ElicitResult, ElicitationAction};
use serde_json::{Map, Value};
use sessiongate_protocol::json::RawJson;
use tokio::sync::Mutex;

use super::console::{Console, printable};

pub use page::Page;

/// Asks one question at a time: of a person, or of answers that were given beforehand.
#[derive(Clone)]
pub struct Asker {
    console: Console,
    answers: Arc<Vec<(String, String)>>,
    assume_yes: bool,
    turn: Arc<Mutex<()>>,
}

/// What a person did with a question.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// Answered it; a page has no content.
    Accept(Option<Map<String, Value>>),
    /// Said no.
    Decline,
    /// Turned away.
    Cancel,
}

// === impl Asker ===

impl Asker {
    /// Asks on this console, with these answers first.
    pub fn new(console: Console, answers: Vec<(String, String)>, assume_yes: bool) -> Self {
        Self { console, answers: Arc::new(answers), assume_yes, turn: Arc::default() }
    }

    /// Asks for a form to be filled in. The schema is text, because the order of its fields counts.
    pub async fn form(&self, message: &str, schema: RawJson) -> Reply {
        let _turn = self.turn.lock().await;
        self.console.clear_progress();
        self.console.note(&format!("? {}", printable(message)));
        let form = match form::Form::new(schema) {
            Ok(form) => form,
            Err(error) => {
                self.console.note(&format!("the question cannot be shown: {error}"));
                return Reply::Cancel;
            }
        };
        match answers::fill(&form, &self.answers, self.assume_yes) {
            Ok(content) => return Reply::Accept(Some(content)),
            Err(reason) if !self.console.is_interactive() => {
                self.console.note(&format!("declined: {reason}"));
                return Reply::Decline;
            }
            Err(_) => {}
        }
        blocking(move || form.ask()).await
    }

    /// Asks for a page to be visited, and opens it if the person says so.
    pub async fn page(&self, message: &str, url: &str) -> Reply {
        let _turn = self.turn.lock().await;
        self.console.clear_progress();
        self.console.note(&format!("? {}", printable(message)));
        let page = match Page::new(url) {
            Ok(page) => page,
            Err(reason) => {
                self.console.note(&format!("declined: {reason}"));
                return Reply::Decline;
            }
        };
        page.show(&self.console);
        match self.answers.iter().find(|(name, _)| name == "url").map(|(_, answer)| answer.as_str()) {
            Some("accept" | "yes") => return Reply::Accept(None),
            Some("cancel") => return Reply::Cancel,
            Some(_) => return Reply::Decline,
            None if self.assume_yes => return Reply::Accept(None),
            None => {}
        }
        if !self.console.is_interactive() {
            self.console
                .note("declined: nobody is here to open the page; --answer url=accept says that it was visited");
            return Reply::Decline;
        }
        blocking(move || page.ask()).await
    }

    /// Waits until no question is open, so that the result does not write over one.
    pub async fn settled(&self) {
        let _turn = self.turn.lock().await;
    }

    /// Asks whether to try again after pages were visited.
    pub async fn retry(&self) -> bool {
        let _turn = self.turn.lock().await;
        if !self.console.is_interactive() {
            return true;
        }
        matches!(blocking(page::ask_retry).await, Reply::Accept(_))
    }
}

/// Runs a prompt on its own thread: one that is still open when the process ends must not keep it alive, as a thread
/// of the runtime's blocking pool would.
async fn blocking(prompt: impl FnOnce() -> Reply + Send + 'static) -> Reply {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name("prompt".into()).spawn(move || {
        let _ = sender.send(prompt());
    });
    match started {
        Ok(_) => receiver.await.unwrap_or(Reply::Cancel),
        Err(_) => Reply::Cancel,
    }
}

// === impl Reply ===

impl From<Reply> for ElicitResult {
    fn from(reply: Reply) -> Self {
        let (action, content) = match reply {
            Reply::Accept(content) => (ElicitationAction::Accept, content),
            Reply::Decline => (ElicitationAction::Decline, None),
            Reply::Cancel => (ElicitationAction::Cancel, None),
        };
        let mut result = Self::new(action);
        result.content = content.map(Value::Object);
        result
    }
}

impl From<inquire::InquireError> for Reply {
    /// Escape says no; Ctrl-C turns away, and so does a terminal that went away.
    fn from(error: inquire::InquireError) -> Self {
        match error {
            inquire::InquireError::OperationCanceled => Self::Decline,
            _ => Self::Cancel,
        }
    }
}
