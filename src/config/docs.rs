//! `docs/configuration.md`, made from the schema.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{choices, is_type, resolve, schema, tagged};
use super::units::Format;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `UPDATE_DOCS=1 cargo nextest run -p sessiongate docs`; a test compares. Change src/config/model/ instead. -->

`sessiongate serve --config gateway.yaml` reads one YAML file. `sessiongate check --config gateway.yaml` says what is wrong
with it, and tries the targets. `sessiongate schema` prints the JSON Schema; an editor with a YAML language server uses it
after `sessiongate schema > gateway.schema.json` and this first line of the file:

```yaml
# yaml-language-server: $schema=./gateway.schema.json
```

- **Durations** have units: `250ms`, `15s`, `15m`, `1h30m`. **Sizes** are bytes, or have units: `6MB` is 6 000 000, `6MiB` is
  6 291 456. **Networks** are `10.0.0.0/8` or one address.
- **Environment**: `${NAME}` in any value stands for the variable, `${NAME:-text}` has a default, `$$` is a dollar sign. A
  variable that is not set is an error. References are replaced after the YAML is parsed, so a value cannot become
  structure. Inside `{…}` and `[…]` they need quotes: `{key: \"${SHOP_KEY}\"}`.
- **Unknown keys** are errors. A key without a value counts as not given. Anchors, aliases and `<<` work.
- **Reload**: the file is read again when it changes. Keys that need a restart say so below. A file with an error is refused
  whole, and what was running goes on.
- **Secrets** (header values, environment values, keys) are never logged.
";

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let schema = schema();
    let mut page = Page { root: &schema, text: INTRODUCTION.to_owned() };
    page.section("", "The file", &schema);
    page.text.push_str("\n## Example\n\n```yaml\n");
    page.text.push_str(include_str!("../../docs/examples/gateway.yaml").trim_end());
    page.text.push_str("\n```\n");
    page.text
}

struct Page<'a> {
    root: &'a Value,
    text: String,
}

// === impl Page ===

impl<'a> Page<'a> {
    fn section(&mut self, path: &str, title: &str, schema: &'a Value) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "\n## {title}\n");
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            let _ = writeln!(self.text, "{}\n", one_line(text));
        }
        self.text.push_str("| key | value | default | what |\n|---|---|---|---|\n");
        let mut keys: Vec<&String> = properties.keys().collect();
        // Its value is in the title.
        keys.retain(|key| *key != "type" || properties[key.as_str()].get("const").is_none());
        keys.sort_by_key(|key| (!required.contains(&key.as_str()), key.as_str()));
        for key in &keys {
            let property = &properties[key.as_str()];
            let inner = resolve(self.root, property);
            let default = if required.contains(&key.as_str()) { "required".to_owned() } else { default(property) };
            let kind = self.kind(inner);
            let what = what(property, inner);
            let _ = writeln!(self.text, "| `{key}` | {kind} | {default} | {what} |");
        }
        for key in keys {
            self.below(path, key, resolve(self.root, &properties[key.as_str()]));
        }
    }

    /// The sections of the mappings that a key holds.
    fn below(&mut self, path: &str, key: &str, schema: &'a Value) {
        let name = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if is_type(schema, "array") {
            let items = resolve(self.root, schema.get("items").unwrap_or(&Value::Null));
            let name = format!("{name}[]");
            self.section(&name, &format!("`{name}`"), items);
            return;
        }
        if let Some(alternatives) = tagged(schema) {
            for (tag, alternative) in alternatives {
                let keys = alternative.get("properties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
                if keys > 1 {
                    self.section(&name, &format!("`{name}` with `type: {tag}`"), alternative);
                }
            }
            return;
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            self.below(&name, "*", resolve(self.root, values));
            return;
        }
        let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) else {
            self.section(&name, &format!("`{name}`"), schema);
            return;
        };
        for alternative in alternatives {
            let alternative = resolve(self.root, alternative);
            let mark = alternative.get("required").and_then(|keys| keys.get(0)).and_then(Value::as_str);
            let title = mark.map_or_else(|| format!("`{name}`"), |mark| format!("`{name}` with `{mark}`"));
            self.section(&name, &title, alternative);
        }
    }

    fn kind(&self, schema: &Value) -> String {
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            let mut kinds: Vec<String> = Vec::new();
            for one in alternatives {
                let kind = self.kind(resolve(self.root, one));
                // `false` is what YAML 1.1 makes of `off`; one spelling is enough.
                if kind != "`false`" && !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
        if tagged(schema).is_some() {
            return "mapping".to_owned();
        }
        if let Some(choices) = choices(schema) {
            return choices.iter().map(|(value, _)| code(value)).collect::<Vec<_>>().join(", ");
        }
        if let Some(value) = schema.get("const") {
            return code(value);
        }
        let range = match (schema.get("minimum"), schema.get("maximum")) {
            (Some(min), Some(max)) => format!(", {min} to {max}"),
            _ => String::new(),
        };
        match schema.get("format").and_then(Value::as_str) {
            Some("secret") => return "secret text".to_owned(),
            Some(format) => match Format::from_schema(format) {
                Some(Format::Duration) => return "duration".to_owned(),
                Some(Format::ByteSize) => return "size".to_owned(),
                Some(Format::Network) => return "network".to_owned(),
                Some(Format::Address) => return "address:port".to_owned(),
                Some(Format::HttpUrl) => return "URL".to_owned(),
                None => {}
            },
            None => {}
        }
        if is_type(schema, "array") {
            let items = resolve(self.root, schema.get("items").unwrap_or(&Value::Null));
            return format!("list of {}", self.kind(items));
        }
        match schema.get("additionalProperties") {
            Some(values) if values.is_object() => {
                return format!("mapping of names to {}", self.kind(resolve(self.root, values)));
            }
            _ => {}
        }
        let name = ["object", "boolean", "integer", "string"].into_iter().find(|name| is_type(schema, name));
        match name {
            Some("object") => "mapping".to_owned(),
            Some("boolean") => "`true`, `false`".to_owned(),
            Some("integer") => format!("number{range}"),
            _ => "text".to_owned(),
        }
    }
}

fn what(property: &Value, inner: &Value) -> String {
    let own = property.get("description").or_else(|| inner.get("description")).and_then(Value::as_str);
    let mut text = one_line(own.unwrap_or_default());
    let described: Vec<String> = choices(inner)
        .into_iter()
        .flatten()
        .filter_map(|(value, says)| Some(format!("{}: {}", code(value), one_line(says?))))
        .collect();
    let kinds = tagged(inner)
        .into_iter()
        .flatten()
        .filter_map(|(tag, one)| Some(format!("`type: {tag}`: {}", one_line(one.get("description")?.as_str()?))));
    let described: Vec<String> = described.into_iter().chain(kinds).collect();
    if !described.is_empty() {
        text = format!("{text}<br>{}", described.join("<br>"));
    }
    text.replace('|', "\\|")
}

/// Mappings have their defaults in their own section.
fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::Object(map)) if map.is_empty() => "empty".to_owned(),
        Some(Value::Object(_)) => "see below".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "empty".to_owned(),
        Some(value) => code(value),
    }
}

fn code(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |text| format!("`{text}`"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_DOCS=1` writes the file instead.
    #[test]
    fn docs_are_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let made = markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == made, "docs/configuration.md is not what the schema says; run this test with UPDATE_DOCS=1");
    }

    #[test]
    fn every_key_says_what_it_is_and_since_when() {
        let rows: Vec<String> = markdown().lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
        assert!(rows.len() > 50, "{}", rows.len());
        for row in rows {
            assert!(row.contains("Since 0."), "{row}");
        }
    }
}
