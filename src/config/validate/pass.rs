//! What passes between clients and targets besides messages.

use std::collections::HashMap;

use super::Rules;
use crate::config::error::KeyPath;
use crate::config::model::{McpConfig, TargetConfig};
use crate::config::passing::{MAX_NAMES, refused_header, refused_parameter};

impl Rules {
    /// `sessions`: the gateway keeps sessions.
    pub(super) fn pass(&mut self, target: &TargetConfig, sessions: bool, path: &KeyPath) {
        if target.pass.is_empty() {
            return;
        }
        if matches!(target.mcp, McpConfig::Stdio(_)) {
            let message = "is for targets with a URL: a process gets no headers";
            return self.say(path.clone(), message, "take it away");
        }
        let pass = &target.pass;
        let header = |name: &str| refused_header(name, sessions);
        self.names(&path.key("request_headers"), &pass.request_headers, header, str::to_ascii_lowercase);
        self.names(&path.key("query_parameters"), &pass.query_parameters, refused_parameter, str::to_owned);
        self.names(&path.key("response_headers"), &pass.response_headers, header, str::to_ascii_lowercase);
    }

    fn names(
        &mut self,
        path: &KeyPath,
        names: &[String],
        refused: impl Fn(&str) -> Option<&'static str>,
        key: impl Fn(&str) -> String,
    ) {
        if names.len() > MAX_NAMES {
            self.say(path.clone(), format!("has {} names", names.len()), format!("keep {MAX_NAMES} at most"));
        }
        let mut seen = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            let path = path.index(at);
            match refused(name) {
                Some(why) => self.say(path, format!("`{name}` {why}"), "take it away"),
                None => self.unique(&mut seen, key(name), at, &path, "name"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    fn said(gateway: &str, mcp: &str, pass: &str) -> String {
        let text = format!(
            "gateways:\n  - name: shop\n{gateway}    targets:\n      - name: cart\n        mcp: {mcp}\n        pass: {pass}\n"
        );
        parse("test.yaml", &text, &|_| None).err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    #[test]
    fn names_that_cannot_pass_are_errors() {
        const HTTP: &str = "{url: 'http://h/mcp'}";
        let eleven: Vec<String> = (0..11).map(|at| format!("x-{at}")).collect();
        for (mcp, pass, expected) in [
            (HTTP, "{request_headers: [X-Tenant, Cookie]}", "pass.request_headers[1]: `Cookie` is a header that"),
            (HTTP, "{response_headers: [Set-Cookie]}", "pass.response_headers[0]"),
            (HTTP, "{request_headers: ['a b']}", "is not the name of a header"),
            (HTTP, "{request_headers: [x-a, X-A]}", "pass.request_headers[1]: the name `x-a` is taken"),
            (HTTP, &format!("{{response_headers: [{}]}}", eleven.join(", ")), "has 11 names"),
            (HTTP, &format!("{{query_parameters: [{}]}}", "q".repeat(41)), "1 to 40 characters"),
            (HTTP, "{request_headers: [Mcp-Session-Id]}", "while the gateway keeps sessions"),
            ("{command: cart}", "{request_headers: [X-Tenant]}", "targets with a URL"),
        ] {
            let said = said("", mcp, pass);
            assert!(said.contains(expected), "{pass}: {said}");
        }
        assert_eq!(said("    sessions: off\n", HTTP, "{request_headers: [Mcp-Session-Id]}"), "");
        assert_eq!(
            said("", HTTP, "{request_headers: [X-Tenant], query_parameters: [q, Q], response_headers: [x-tenant]}"),
            ""
        );
    }
}
