//! What the server lists in addition where it offers the modern era.

use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::catalogue::{object, tool};

/// Fixtures of the official suite for 2026-07-28, and tools that a gateway's tests need with it.
pub fn modern_tools() -> Vec<Tool> {
    let plain = [
        ("test_input_required_result_elicitation", "Asks a form"),
        ("test_input_required_result_sampling", "Asks the client's model"),
        ("test_input_required_result_list_roots", "Asks for the roots"),
        ("test_input_required_result_request_state", "Wants its state back"),
        ("test_input_required_result_tampered_state", "Wants its state back unchanged"),
        ("test_input_required_result_multiple_inputs", "Asks three questions at once"),
        ("test_input_required_result_multi_round", "Asks twice"),
        ("test_input_required_result_capabilities", "Asks what the client can answer"),
        ("test_streaming_elicitation", "Asks on a stream"),
        ("test_missing_capability", "Needs sampling"),
        ("test_logging_tool", "Logs one line"),
        ("test_trigger_tool_change", "Says that the tools changed"),
        ("test_trigger_prompt_change", "Says that the prompts changed"),
        ("sg_state_only", "Wants the call again, without a question"),
        ("sg_endless", "Asks in every round"),
        ("sg_undeclared", "Asks for sampling, declared or not"),
        ("failing_job", "A task that fails as a tool"),
        ("protocol_error_job", "A task that fails with an error"),
        ("multi_input", "A task that asks twice at once"),
        ("test_tool_with_task", "Asks, then goes on as a task"),
    ];
    let mut tools: Vec<Tool> = plain.into_iter().map(|(name, text)| tool(name, text, object(json!({}), &[]))).collect();
    let with = |name, text, properties: Value| tool(name, text, object(properties, &[]));
    tools.push(with("greet", "Never a task", json!({"name": {"type": "string"}})));
    tools.push(with("confirm_delete", "A task that asks", json!({"filename": {"type": "string"}})));
    tools.push(with(
        "slow_compute",
        "A task that takes its time",
        json!({"seconds": {"type": "number"}, "label": {"type": "string"}}),
    ));
    tools.push(tool(
        "test_custom_header",
        "Wants its argument in a header too",
        object(json!({"value": {"type": "string", "x-mcp-header": "Value"}}), &["value"]),
    ));
    tools
}
