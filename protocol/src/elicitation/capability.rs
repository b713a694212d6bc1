//! Which questions a client can show (`capabilities.elicitation`).

use serde_json::value::RawValue;

use super::Mode;
use crate::json::RawJson;
use crate::members::Members;
use crate::revision::Revision;

/// The modes that a client declared. Neither means that the client has no elicitation at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElicitationCapability {
    /// It shows forms.
    pub form: bool,
    /// It opens pages.
    pub url: bool,
}

// === impl ElicitationCapability ===

impl ElicitationCapability {
    /// No elicitation.
    pub const NONE: Self = Self { form: false, url: false };

    /// Reads the capabilities of an `initialize`. `{}` means forms only; before 2025-11-25 there is nothing else, and
    /// before 2025-06-18 nothing at all. What cannot be read was not declared.
    pub fn of_client(capabilities: &RawJson, revision: Revision) -> Self {
        Members::of(capabilities)
            .ok()
            .and_then(|members| members.get("elicitation").map(|raw| Self::of_raw(raw, revision)))
            .unwrap_or_default()
    }

    /// Reads the value of the `elicitation` member alone.
    pub(crate) fn of_raw(raw: &RawValue, revision: Revision) -> Self {
        let Ok(modes) = Members::of_str(raw.get()) else { return Self::NONE };
        if !revision.has_elicitation() {
            return Self::NONE;
        }
        if revision < Revision::V2025_11_25 {
            return Self { form: true, url: false };
        }
        // Several SDKs write what is absent as null.
        let mode = |name| modes.get(name).map(RawValue::get).filter(|raw| *raw != "null");
        match (mode("form"), mode("url")) {
            (None, None) => Self { form: true, url: false },
            (form, url) => {
                let declared = |raw: Option<&str>| raw.is_some_and(|raw| raw.starts_with('{'));
                Self { form: declared(form), url: declared(url) }
            }
        }
    }

    /// Whether there is any elicitation.
    pub fn any(self) -> bool {
        self.form || self.url
    }

    /// Whether a question of this mode may be shown; if not, the target is answered -32602.
    pub fn allows(self, mode: Mode) -> bool {
        match mode {
            Mode::Form => self.form,
            Mode::Url => self.url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_by_revision() {
        let of = |text: &str, revision| {
            let found = ElicitationCapability::of_client(&RawJson::parse(text.to_owned()).unwrap(), revision);
            (found.form, found.url)
        };
        let both = r#"{"elicitation":{"form":{},"url":{"x":1}}}"#;
        assert_eq!(of(both, Revision::V2025_11_25), (true, true));
        assert_eq!(of(both, Revision::V2025_06_18), (true, false));
        assert_eq!(of(both, Revision::V2025_03_26), (false, false));
        for (text, expected) in [
            (r#"{"elicitation":{}}"#, (true, false)),
            (r#"{"elicitation":{"form":null,"url":null}}"#, (true, false)),
            (r#"{"elicitation":{"url":{}}}"#, (false, true)),
            (r#"{"elicitation":{"form":{}}}"#, (true, false)),
            (r#"{"elicitation":{"form":false,"url":true}}"#, (false, false)),
            (r#"{"elicitation":null}"#, (false, false)),
            (r#"{"elicitation":true}"#, (false, false)),
            (r#"{"elicitation":{},"elicitation":{"url":{}}}"#, (false, false)),
            ("{}", (false, false)),
            ("[]", (false, false)),
        ] {
            assert_eq!(of(text, Revision::V2025_11_25), expected, "{text}");
        }
    }

    #[test]
    fn only_declared_modes_are_allowed() {
        let form = ElicitationCapability { form: true, url: false };
        assert!(form.any() && form.allows(Mode::Form) && !form.allows(Mode::Url));
        assert!(!ElicitationCapability::NONE.any());
    }
}
