//! How to connect to the demonstration.

/// Says how to connect the usual clients to a gateway at `url`.
#[must_use]
pub fn connect_hint(url: &str) -> String {
    format!(
        r#"Call a tool from this terminal's neighbour:
  sessiongate ls {url}
  sessiongate call {url} order_tea
  sessiongate call {url} brew --arg minutes=3
  sessiongate call {url} pay

Claude Code:
  claude mcp add --transport http sessiongate {url}

VS Code, in .vscode/mcp.json:
  {{"servers": {{"sessiongate": {{"type": "http", "url": "{url}"}}}}}}

MCP Inspector:
  npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/list
  npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/call --tool-name tell
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_gets_the_url() {
        let hint = connect_hint("http://127.0.0.1:1/mcp");
        assert_eq!(hint.matches("http://127.0.0.1:1/mcp").count(), 8);
        assert!(hint.contains(r#"{"servers": {"sessiongate": {"type": "http", "url": "http://127.0.0.1:1/mcp"}}}"#));
    }
}
