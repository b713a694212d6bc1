//! How far a change is, on standard error.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::note;
use crate::client::printable;
use crate::control_client::Standing;

/// Between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// A spinner where a person looks, else a line for each change.
pub struct Progress {
    bar: Option<ProgressBar>,
    said: RefCell<String>,
}

// === impl Progress ===

impl Progress {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self { bar, said: RefCell::default() }
    }

    /// Where an object stands.
    pub fn status(&self, name: &str, object: &Value) {
        let standing = Standing::of(object);
        let mut text = format!("{name} is {}", standing.status);
        if let Some(url) = &standing.authorization_url {
            text.push_str(&format!(": open {url} to allow it"));
        }
        if *self.said.borrow() == text {
            return;
        }
        match &self.bar {
            Some(bar) => {
                if standing.authorization_url.is_some() {
                    // It has to stay on the screen.
                    bar.suspend(|| note(&text));
                }
                bar.set_message(printable(&text).into_owned());
            }
            None => note(&text),
        }
        self.said.replace(text);
    }

    /// Makes place for the result.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
