//! Where the client writes: results to standard output, everything else to standard error.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// A pair of writers, and whether a person sits behind them. Clones share the writers.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    progress: Mutex<Progress>,
    interactive: bool,
    colours: bool,
}

#[derive(Default)]
struct Progress {
    bar: Option<ProgressBar>,
    reached: Option<f64>,
}

/// A bar counts in thousandths, because progress may be a fraction.
const SCALE: f64 = 1000.0;

// === impl Console ===

impl Console {
    /// The console of the process. It is interactive if a person can read questions and answer them.
    #[must_use]
    pub fn standard() -> Self {
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self::build(Box::new(io::stdout()), Box::new(io::stderr()), interactive, colours)
    }

    /// A console without a person, for tests and for programs that embed the client.
    #[must_use]
    pub fn to_writers(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self::build(out, err, false, false)
    }

    fn build(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, interactive: bool, colours: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                out: Mutex::new(out),
                err: Mutex::new(err),
                progress: Mutex::default(),
                interactive,
                colours,
            }),
        }
    }

    /// Whether questions can be asked.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.shared.interactive
    }

    /// Writes a result.
    ///
    /// # Errors
    /// If standard output is closed or full.
    pub fn result(&self, text: &str) -> io::Result<()> {
        let mut out = self.shared.out.lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Writes a line about what happens. A closed standard error is no reason to stop.
    pub fn note(&self, text: &str) {
        let write = || {
            let mut err = self.shared.err.lock();
            let _ = writeln!(err, "{text}").and_then(|()| err.flush());
        };
        let bar = self.shared.progress.lock().bar.clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The text in bold, where there is bold.
    #[must_use]
    pub fn bold(&self, text: &str) -> String {
        if self.shared.colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Shows how far a call is. Events that come late and would step back are left out.
    pub fn progress(&self, reached: f64, total: Option<f64>, message: Option<&str>) {
        let mut progress = self.shared.progress.lock();
        if progress.reached.is_some_and(|before| reached < before) {
            return;
        }
        progress.reached = Some(reached);
        let message = message.map(printable).unwrap_or_default();
        if !self.shared.interactive {
            drop(progress);
            let total = total.map(|total| format!("/{total}")).unwrap_or_default();
            self.note(format!("progress {reached}{total} {message}").trim_end());
            return;
        }
        let bar = progress.bar.get_or_insert_with(new_bar);
        match total.filter(|total| *total > 0.0) {
            Some(total) => {
                bar.set_length(scaled(total));
                bar.set_style(style("{bar:30} {percent:>3}% {elapsed} {wide_msg}"));
            }
            None => bar.set_style(style("{spinner} {elapsed} {wide_msg}")),
        }
        bar.set_position(scaled(reached));
        bar.set_message(message.into_owned());
    }

    /// Lets progress begin anew.
    pub fn restart_progress(&self) {
        self.shared.progress.lock().reached = None;
    }

    /// Takes the progress bar away, so that a question or the result has the line.
    pub fn clear_progress(&self) {
        let mut progress = self.shared.progress.lock();
        if let Some(bar) = progress.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style("{spinner} {elapsed} {wide_msg}"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and only drawn")]
fn scaled(value: f64) -> u64 {
    (value * SCALE).clamp(0.0, 1e15) as u64
}

/// Text from a server without what could steer the terminal: control characters but line feed and tab, and the marks
/// that turn the direction of writing.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |character: char| {
        (character.is_control() && character != '\n' && character != '\t')
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(harmful) { Cow::Owned(text.replace(harmful, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\tb\nc"), "a\tb\nc");
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
