//! The gateway's own tool that finds tools: what it is called with, what it answers, and the index behind it.
//!
//! The ranking is lexical: it finds what shares words with the query, not what means the same. [`Index::scores`] is where
//! a measure of meaning can be added.

mod index;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use sessiongate_protocol::members::Members;
use sessiongate_protocol::{RawJson, meta};

pub use index::{Index, best};

use super::Snapshot;

/// Its name, which no other tool can have. AgentCore's clients know it.
pub const TOOL: &str = "x_amz_bedrock_agentcore_search";
/// Tools in one answer.
pub const MOST: usize = 10;
/// Bytes of a query.
pub const LONGEST_QUERY: usize = 4096;

/// Why a call of the tool cannot be answered; for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// There is no query.
    #[error("`params.arguments.query` is missing, or is no string: say there what the tools should do")]
    NoQuery,
    /// There is nothing in it.
    #[error("`params.arguments.query` is empty: say there what the tools should do")]
    Empty,
    /// There is too much in it.
    #[error(
        "`params.arguments.query` is too long (limit {LONGEST_QUERY} bytes): say in a few words what the tools should do"
    )]
    TooLong,
}

/// The tool, as lists show it.
pub fn tool() -> RawJson {
    let tool = serde_json::json!({
        "name": TOOL,
        "title": "Search tools",
        "description": format!(
            "Finds the tools of this server that fit a task and returns up to {MOST} of them, the best first, each with its \
             name, description and input schema, ready to be called. Use it instead of reading the whole list of tools \
             when there are many. Tools are found by the words of their names, descriptions and parameters: name the \
             things and actions that the task is about."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {"query": {
                "type": "string",
                "description": "What the tools should do, such as: create an issue in a repository",
            }},
            "required": ["query"],
        },
        "annotations": {"readOnlyHint": true, "openWorldHint": false},
    });
    RawJson::from_serialize(&tool).unwrap_or(RawJson::EMPTY_OBJECT)
}

/// Whether the parameters of a `tools/call` name the tool.
pub fn is_named_by(params: Option<&RawJson>) -> bool {
    params.is_some_and(|params| meta::name_of(params).is_ok_and(|name| *name == *TOOL))
}

/// Answers a call of the tool with a `CallToolResult`. Names have at most `limit` bytes; `shown` makes of a tool of the
/// catalogue what this client is shown in lists.
///
/// # Errors
/// When the arguments are not a query.
pub fn answer<'a>(
    catalogue: &'a Snapshot,
    params: Option<&RawJson>,
    limit: Option<usize>,
    shown: impl Fn(Cow<'a, RawJson>) -> RawJson,
) -> Result<RawJson, SearchError> {
    let found = query_of(params).map(|query| catalogue.search(&query, limit));
    let outcome = match &found {
        Ok(found) if found.is_empty() => "nothing",
        Ok(_) => "found",
        Err(_) => "invalid",
    };
    metrics::counter!("sessiongate_searches_total", "outcome" => outcome).increment(1);
    Ok(result(found?.into_iter().map(shown)))
}

fn query_of(params: Option<&RawJson>) -> Result<String, SearchError> {
    let query = || {
        let arguments = Members::of(params?).ok()?.get("arguments")?;
        Some(Members::of_str(arguments.get()).ok()?.get_str("query")?.into_owned())
    };
    match query().ok_or(SearchError::NoQuery)? {
        query if query.len() > LONGEST_QUERY => Err(SearchError::TooLong),
        query if query.trim().is_empty() => Err(SearchError::Empty),
        query => Ok(query),
    }
}

/// The tools twice: clients read `structuredContent`, or else the first text.
fn result(tools: impl Iterator<Item = RawJson>) -> RawJson {
    let mut found = String::from("{\"tools\":[");
    for (at, tool) in tools.enumerate() {
        if at > 0 {
            found.push(',');
        }
        found.push_str(tool.as_str());
    }
    let hint = match found.ends_with('[') {
        true => {
            ",{\"type\":\"text\",\"text\":\"No tool has any of these words. Try others, or list the tools to see what there is.\"}"
        }
        false => "",
    };
    found.push_str("]}");
    let text = serde_json::to_string(&found).unwrap_or_default();
    let result = format!(
        "{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}{hint}],\"structuredContent\":{found},\"isError\":false}}"
    );
    RawJson::parse(result).unwrap_or(RawJson::EMPTY_OBJECT)
}
