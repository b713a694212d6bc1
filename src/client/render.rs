//! Results for eyes.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

use super::console::printable;

/// The result of a tool as text: texts as they are, everything else named with its size.
pub fn result(result: &CallToolResult) -> String {
    let mut parts: Vec<String> = result.content.iter().map(block).collect();
    if let Some(structured) = &result.structured_content
        && !said_already(result, structured)
    {
        parts.push(serde_json::to_string_pretty(structured).unwrap_or_default());
    }
    parts.join("\n")
}

/// Servers repeat structured content as text for older clients.
fn said_already(result: &CallToolResult, structured: &Value) -> bool {
    let texts = result.content.iter().filter_map(ContentBlock::as_text);
    texts.into_iter().any(|text| serde_json::from_str::<Value>(&text.text).is_ok_and(|said| said == *structured))
}

fn block(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => printable(&text.text).into_owned(),
        ContentBlock::Image(image) => media("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => media("audio", &audio.mime_type, &audio.data),
        ContentBlock::ResourceLink(link) => {
            format!("[link {} <{}>]", printable(&link.name), printable(&link.uri))
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => {
                format!("[resource <{}>]\n{}", printable(uri), printable(text))
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                let kind = mime_type.as_deref().unwrap_or("application/octet-stream");
                format!("{} <{}>", media("resource", kind, blob), printable(uri))
            }
            _ => "[resource]".into(),
        },
        _ => "[content of an unknown kind]".into(),
    }
}

fn media(what: &str, mime_type: &str, base64: &str) -> String {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    let bytes = (base64.len() / 4 * 3).saturating_sub(padding);
    format!("[{what} {}, {}]", printable(mime_type), indicatif::HumanBytes(bytes as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_is_named_with_its_size() {
        let shown = result(
            &serde_json::from_value(json!({"content": [
                {"type": "text", "text": "hello"},
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
                {"type": "resource_link", "uri": "test://a", "name": "a"},
                {"type": "resource", "resource": {"uri": "test://b", "blob": "AA=="}}
            ], "structuredContent": {"a": 1}}))
            .unwrap(),
        );
        let expected = "hello\n[image image/png, 3 B]\n[link a <test://a>]\n\
                        [resource application/octet-stream, 1 B] <test://b>\n{\n  \"a\": 1\n}";
        assert_eq!(shown, expected);
    }

    #[test]
    fn structured_content_is_not_said_twice() {
        let repeated = json!({"content": [{"type": "text", "text": "{\"a\": 1}"}], "structuredContent": {"a": 1}});
        assert_eq!(result(&serde_json::from_value(repeated).unwrap()), "{\"a\": 1}");
    }
}
