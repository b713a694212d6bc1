//! Who asks.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Who asks: an opaque name for each credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    pub(super) hash: Box<str>,
}

// === impl Principal ===

impl Principal {
    /// Everybody without a credential.
    pub fn anonymous() -> Self {
        Self { hash: "anonymous".into() }
    }

    /// Whoever holds this credential name; the name is hashed, so that it can stand in logs and on disk.
    pub fn named(kind: &str, name: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        Self { hash: URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..12]).into() }
    }

    /// The hash.
    pub fn as_str(&self) -> &str {
        &self.hash
    }
}
