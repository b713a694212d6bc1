//! A form in the terminal: one prompt per field, asked again until the answer fits.

use inquire::{
    MultiSelect, Select, Text,
    validator::{ErrorMessage, Validation},
};
use serde_json::{Map, Value, json};
use sessiongate_protocol::{
    elicitation::{AnswerError, Field, FieldKind, FormSchema, SchemaError, check_answer, schema::Choice},
    json::RawJson,
};

use super::Reply;
use crate::client::console::printable;

/// A form with the schema that its answers are checked against.
pub struct Form {
    /// Its fields, in the order of the server.
    pub fields: FormSchema,
    schema: RawJson,
    one_field: RawJson,
}

type Prompted<T> = Result<T, inquire::InquireError>;

/// The entry of a list that leaves an optional field out.
const LEAVE_OUT: &str = "(leave out)";

// === impl Form ===

impl Form {
    /// Reads the schema of a question.
    ///
    /// # Errors
    /// If it is no flat form.
    pub fn new(schema: RawJson) -> Result<Self, SchemaError> {
        let fields = FormSchema::parse(&schema)?;
        Ok(Self { fields, one_field: without_required(&schema).unwrap_or_else(|| schema.clone()), schema })
    }

    /// Whether the content answers the whole form.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn check(&self, content: &Map<String, Value>) -> Result<(), AnswerError> {
        check_answer(&self.schema, &raw(content)?)
    }

    /// Whether a value fits its field, whatever the other fields hold.
    ///
    /// # Errors
    /// Says what the field must hold.
    pub fn check_field(&self, name: &str, value: &Value) -> Result<(), AnswerError> {
        let mut content = Map::new();
        content.insert(name.to_owned(), value.clone());
        check_answer(&self.one_field, &raw(&content)?)
    }

    /// Reads the text of a field by its kind; whether it fits is checked apart.
    pub fn read(field: &Field, text: &str) -> Option<Value> {
        match &field.kind {
            FieldKind::String { .. } => Some(Value::String(text.to_owned())),
            FieldKind::Number(_) | FieldKind::Integer(_) => {
                serde_json::from_str(text.trim()).ok().filter(Value::is_number)
            }
            FieldKind::Boolean { .. } => match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "y" | "on" | "1" => Some(json!(true)),
                "false" | "no" | "n" | "off" | "0" => Some(json!(false)),
                _ => None,
            },
            FieldKind::SingleSelect { options, .. } => Some(json!(chosen(options, text))),
            FieldKind::MultiSelect { options, .. } => Some(json!([chosen(options, text)])),
        }
    }

    /// What a field holds before anybody writes in it.
    pub fn default_of(field: &Field) -> Option<Value> {
        match &field.kind {
            FieldKind::String { default, .. } | FieldKind::SingleSelect { default, .. } => {
                default.as_ref().map(|default| json!(default))
            }
            FieldKind::Number(range) | FieldKind::Integer(range) => range.default.clone().map(Value::Number),
            FieldKind::Boolean { default } => default.map(Value::Bool),
            FieldKind::MultiSelect { default, .. } => (!default.is_empty()).then(|| json!(default)),
        }
    }

    /// Asks for each field in turn.
    pub fn ask(&self) -> Reply {
        let mut content = Map::new();
        for (name, field) in &self.fields.properties {
            match self.ask_field(name, field) {
                Ok(Some(value)) => {
                    content.insert(name.clone(), value);
                }
                Ok(None) => {}
                Err(error) => return error.into(),
            }
        }
        // Every field fits by itself; what is left are required fields that no property describes.
        match self.check(&content) {
            Ok(()) => Reply::Accept(Some(content)),
            Err(_) => Reply::Cancel,
        }
    }

    fn ask_field(&self, name: &str, field: &Field) -> Prompted<Option<Value>> {
        let required = self.fields.is_required(name);
        let title = printable(field.title.as_deref().unwrap_or(name)).into_owned();
        let label = if required { format!("{title} *") } else { title };
        let help = help(field);
        match &field.kind {
            FieldKind::String { .. } | FieldKind::Number(_) | FieldKind::Integer(_) => {
                self.ask_text(name, field, required, &label, &help)
            }
            FieldKind::Boolean { default } => ask_yes_or_no(*default, required, &label, &help),
            FieldKind::SingleSelect { options, default } => {
                ask_one(options, default.as_deref(), required, &label, &help)
            }
            FieldKind::MultiSelect { options, default, .. } => {
                self.ask_many(name, (options, default), required, &label, &help)
            }
        }
    }

    fn ask_text(&self, name: &str, field: &Field, required: bool, label: &str, help: &str) -> Prompted<Option<Value>> {
        let default = Self::default_of(field).map(|value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        });
        // A text may be empty on purpose only where the field is required and nothing forbids it.
        let left_out = |text: &str| text.is_empty() && !required;
        let checks = self.checks(name.to_owned(), field.clone(), required);
        let mut prompt = Text::new(label).with_help_message(help).with_validator(checks);
        if let Some(default) = &default {
            prompt = prompt.with_default(default);
        }
        let text = prompt.prompt()?;
        Ok(if left_out(&text) { None } else { Self::read(field, &text) })
    }

    /// A validator that owns what it needs, as the prompt wants it.
    fn checks(
        &self,
        name: String,
        field: Field,
        required: bool,
    ) -> impl Fn(&str) -> Result<Validation, inquire::CustomUserError> + Clone + 'static {
        let one_field = self.one_field.clone();
        move |text: &str| {
            if text.is_empty() && !required {
                return Ok(Validation::Valid);
            }
            let Some(value) = Self::read(&field, text) else {
                return Ok(invalid("must be a number"));
            };
            let mut content = Map::new();
            content.insert(name.clone(), value);
            let checked = raw(&content).and_then(|content| check_answer(&one_field, &content));
            Ok(match checked {
                Ok(()) => Validation::Valid,
                Err(error) => invalid(error.to_string()),
            })
        }
    }

    fn ask_many(
        &self,
        name: &str,
        (options, default): (&[Choice], &[String]),
        required: bool,
        label: &str,
        help: &str,
    ) -> Prompted<Option<Value>> {
        let names: Vec<String> = options.iter().map(|choice| printable(&choice.to_string()).into_owned()).collect();
        let before: Vec<usize> = (0..options.len()).filter(|at| default.contains(&options[*at].value)).collect();
        loop {
            let prompt = MultiSelect::new(label, names.clone()).with_help_message(help).with_default(&before);
            let picked: Vec<&str> =
                prompt.raw_prompt()?.iter().filter_map(|picked| options.get(picked.index)).map(|c| &*c.value).collect();
            if picked.is_empty() && !required {
                return Ok(None);
            }
            let value = json!(picked);
            match self.check_field(name, &value) {
                Ok(()) => return Ok(Some(value)),
                Err(error) => eprintln!("{error}"),
            }
        }
    }
}

fn ask_yes_or_no(default: Option<bool>, required: bool, label: &str, help: &str) -> Prompted<Option<Value>> {
    let mut entries = vec!["yes", "no"];
    if !required && default.is_none() {
        entries.push(LEAVE_OUT);
    }
    let start = match default {
        Some(true) => 0,
        Some(false) => 1,
        None => entries.len() - 1,
    };
    let picked = Select::new(label, entries).with_help_message(help).with_starting_cursor(start).prompt()?;
    Ok(match picked {
        "yes" => Some(json!(true)),
        "no" => Some(json!(false)),
        _ => None,
    })
}

fn ask_one(
    options: &[Choice],
    default: Option<&str>,
    required: bool,
    label: &str,
    help: &str,
) -> Prompted<Option<Value>> {
    let mut entries: Vec<String> = options.iter().map(|choice| printable(&choice.to_string()).into_owned()).collect();
    if !required {
        entries.push(LEAVE_OUT.into());
    }
    let start = default.and_then(|default| options.iter().position(|choice| choice.value == default)).unwrap_or(0);
    let picked = Select::new(label, entries).with_help_message(help).with_starting_cursor(start).raw_prompt()?;
    Ok(options.get(picked.index).map(|choice| json!(choice.value)))
}

/// The value of a choice, named by its value or its title.
fn chosen(options: &[Choice], text: &str) -> String {
    let by_title = || options.iter().find(|choice| choice.title.as_deref() == Some(text));
    let found = options.iter().find(|choice| choice.value == text).or_else(by_title);
    found.map_or_else(|| text.to_owned(), |choice| choice.value.clone())
}

fn help(field: &Field) -> String {
    let mut parts: Vec<String> = field.description.iter().map(|text| printable(text).into_owned()).collect();
    match &field.kind {
        FieldKind::Number(range) | FieldKind::Integer(range) => {
            parts.extend(range.minimum.as_ref().map(|bound| format!("at least {bound}")));
            parts.extend(range.maximum.as_ref().map(|bound| format!("at most {bound}")));
        }
        FieldKind::String { min_length, max_length, .. } => {
            parts.extend(min_length.map(|bound| format!("at least {bound} characters")));
            parts.extend(max_length.map(|bound| format!("at most {bound} characters")));
        }
        FieldKind::MultiSelect { min_items, max_items, .. } => {
            parts.extend(min_items.map(|bound| format!("at least {bound}")));
            parts.extend(max_items.map(|bound| format!("at most {bound}")));
        }
        FieldKind::Boolean { .. } | FieldKind::SingleSelect { .. } => {}
    }
    parts.push("Esc declines, Ctrl-C cancels".into());
    parts.join(", ")
}

fn invalid(reason: impl Into<String>) -> Validation {
    Validation::Invalid(ErrorMessage::Custom(reason.into()))
}

fn raw(content: &Map<String, Value>) -> Result<RawJson, AnswerError> {
    serde_json::to_string(content).ok().and_then(|text| RawJson::parse(text).ok()).ok_or(AnswerError::Content)
}

fn without_required(schema: &RawJson) -> Option<RawJson> {
    let mut schema: Map<String, Value> = schema.get().ok()?;
    schema.remove("required");
    RawJson::parse(serde_json::to_string(&schema).ok()?).ok()
}
