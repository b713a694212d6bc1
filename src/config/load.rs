//! From a file to a [`Config`].

use std::path::Path;

use super::check::check;
use super::error::{ConfigError, ConfigErrors};
use super::expand::{Lookup, process_env};
use super::model::Config;
use super::schema::schema;
use super::tree;
use super::validate::validate;

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads and checks a file, with references to the process environment. Blocking.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    parse(&path.display().to_string(), &read(path)?, &process_env)
}

/// Reads a text file of bounded size. Blocking.
pub fn read(path: &Path) -> Result<String, ConfigErrors> {
    let fail = |message: String, remedy: &str| {
        let mut error = ConfigError::general(message).remedy(remedy);
        error.file = Some(path.display().to_string());
        ConfigErrors::from(error)
    };
    let size =
        std::fs::metadata(path).map_err(|error| fail(format!("cannot be read: {error}"), "check the path"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(fail(format!("has {size} bytes, over {MAX_FILE_BYTES}"), "check that it is the right file"));
    }
    let bytes =
        std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}"), "check the permissions"))?;
    String::from_utf8(bytes).map_err(|_| fail("is not UTF-8".to_owned(), "save it as UTF-8"))
}

/// Checks a text. `file` is how errors name it. All errors are reported together, in the order of the text; only a
/// mistake in YAML itself hides the ones after it.
pub fn parse(file: &str, text: &str, lookup: Lookup<'_>) -> Result<Config, ConfigErrors> {
    let mut errors = match parse_inner(text, lookup) {
        Ok(config) => return Ok(config),
        Err(errors) => errors,
    };
    errors.sort_by_key(|error| error.position);
    for error in &mut errors {
        error.file = Some(file.to_owned());
    }
    Err(ConfigErrors(errors))
}

fn parse_inner(text: &str, lookup: Lookup<'_>) -> Result<Config, Vec<ConfigError>> {
    let tree = tree::parse(text).map_err(|error| vec![error])?;
    let (value, mut errors) = check(&schema(), &tree, lookup);
    match serde_path_to_error::deserialize::<_, Config>(value) {
        Ok(config) => {
            // What the checker already complained about was left out of the value: the rules see its default.
            let mut wrong = validate(&config);
            wrong.retain(|error| !errors.iter().any(|known| known.key == error.key));
            errors.extend(wrong.into_iter().map(|error| {
                let at = tree.locate(&error.key);
                error.position(at)
            }));
            if errors.is_empty() { Ok(config) } else { Err(errors) }
        }
        // The checker has said what is wrong, better.
        Err(_) if !errors.is_empty() => Err(errors),
        Err(error) => {
            // Only the path: the message may quote what came from the environment.
            let message = format!("`{}` has a value that does not fit", error.path());
            Err(vec![ConfigError::general(message).position(tree.position).remedy("see docs/configuration.md")])
        }
    }
}

#[cfg(test)]
mod tests;
