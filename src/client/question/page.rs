//! A page that a server asks the person to visit: shown in full, opened only after a yes.

use std::net::IpAddr;

use inquire::Select;
use url::{Host, Url};

use super::Reply;
use crate::client::console::{Console, printable};

/// Longest URL that is shown.
const MAX_URL: usize = 8 * 1024;

/// A page to visit.
#[derive(Debug)]
pub struct Page {
    url: Url,
    shown: String,
}

// === impl Page ===

impl Page {
    /// Reads a URL. Only the web is opened: any other scheme could start a program.
    ///
    /// # Errors
    /// Says why the page cannot be visited.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_URL {
            return Err(format!("the URL has over {MAX_URL} bytes"));
        }
        let url = Url::parse(text).map_err(|error| format!("{} is not a URL: {error}", printable(text)))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{} is not a web page", printable(text)));
        }
        // What is shown is what is opened, not what the server wrote.
        let shown = url.to_string();
        Ok(Self { url, shown })
    }

    /// Shows the whole URL with its host in bold, and what is odd about it.
    pub fn show(&self, console: &Console) {
        let host = self.url.host_str().unwrap_or_default();
        let shown = match self.shown.split_once(host) {
            Some((before, after)) if !host.is_empty() => format!("{before}{}{after}", console.bold(host)),
            _ => self.shown.clone(),
        };
        console.note(&format!("  {shown}"));
        for warning in self.warnings() {
            console.note(&format!("  caution: {warning}"));
        }
    }

    /// What a person should know before opening the page.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        let loopback = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => false,
        };
        if self.url.scheme() == "http" && !loopback {
            warnings.push("the connection is not encrypted");
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            warnings.push("what stands before the @ is not the host");
        }
        if self.url.host_str().is_some_and(|host| host.split('.').any(|label| label.starts_with("xn--"))) {
            warnings.push("the host has letters that can look like others");
        }
        warnings
    }

    /// Asks, and opens the page after a yes.
    pub fn ask(&self) -> Reply {
        const OPEN: &str = "open it in the browser";
        const VISITED: &str = "I open it myself";
        let answers = vec!["no", OPEN, VISITED];
        match Select::new("Open this page?", answers).with_help_message("Esc declines, Ctrl-C cancels").prompt() {
            Ok(OPEN) => {
                if webbrowser::open(&self.shown).is_err() {
                    eprintln!("no browser was found: please open the page yourself");
                }
                Reply::Accept(None)
            }
            Ok(VISITED) => Reply::Accept(None),
            Ok(_) => Reply::Decline,
            Err(error) => error.into(),
        }
    }
}

/// Asks whether to repeat the call.
pub fn ask_retry() -> Reply {
    match Select::new("Repeat the call now?", vec!["yes", "no"]).prompt() {
        Ok("yes") => Reply::Accept(None),
        Ok(_) => Reply::Decline,
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_pages_are_visited() {
        assert!(Page::new("https://example.com/pay").is_ok());
        for url in ["file:///etc/passwd", "javascript:alert(1)", "vscode://open", "no url"] {
            assert!(Page::new(url).is_err(), "{url}");
        }
    }

    #[test]
    fn odd_urls_come_with_a_warning() {
        let warnings = |url: &str| Page::new(url).unwrap().warnings().len();
        assert_eq!(warnings("https://example.com/"), 0);
        assert_eq!(warnings("http://127.0.0.1:8080/"), 0);
        assert_eq!(warnings("http://example.com/"), 1);
        assert_eq!(warnings("https://bank.example@evil.example/"), 1);
        assert_eq!(warnings("https://xn--pple-43d.com/"), 1);
    }
}
