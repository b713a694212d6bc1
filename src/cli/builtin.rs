//! Commands that need nothing but the configuration.

use std::io::{self, Read, Write};

use clap::CommandFactory;

use super::args::{Cli, ImportArgs};
use crate::config::{self, ConfigErrors};

/// Why a built-in command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Reading or writing.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// `sessiongate schema`.
pub fn schema(out: &mut dyn Write) -> Result<(), CommandError> {
    serde_json::to_writer_pretty(&mut *out, &config::schema()).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// `sessiongate completions SHELL`.
pub fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sessiongate", &mut script);
    out.write_all(&script)?;
    Ok(())
}

/// `sessiongate import FILE`: YAML to `out`, remarks to `remarks`.
pub fn import(args: &ImportArgs, out: &mut dyn Write, remarks: &mut dyn Write) -> Result<(), CommandError> {
    let text = if args.file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().lock().take(config::load::MAX_FILE_BYTES).read_to_string(&mut text)?;
        text
    } else {
        config::load::read(&args.file)?
    };
    let import = config::import::read(&text).map_err(|errors| errors.in_file(&args.file))?;
    let yaml = import.to_yaml(args.inline_secrets)?;
    write!(out, "{}", yaml.text)?;
    for note in &import.notes {
        writeln!(remarks, "note: {note}")?;
    }
    for (variable, place) in &yaml.variables {
        writeln!(remarks, "note: set {variable} to what the file has at {place}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_schema_is_json() {
        let mut out = Vec::new();
        schema(&mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["properties"]["gateways"]["type"], "array");
    }

    #[test]
    fn every_shell_has_completions() {
        for shell in clap_complete::Shell::value_variants() {
            let mut out = Vec::new();
            completions(*shell, &mut out).unwrap();
            assert!(String::from_utf8(out).unwrap().contains("sessiongate"), "{shell}");
        }
    }

    #[test]
    fn import_prints_yaml_and_says_what_to_set() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcp.json");
        std::fs::write(&file, r#"{"mcpServers": {"a b": {"command": "x", "env": {"A_TOKEN": "sesame"}}}}"#).unwrap();
        let (mut out, mut remarks) = (Vec::new(), Vec::new());
        import(&ImportArgs { file, inline_secrets: false }, &mut out, &mut remarks).unwrap();
        let (out, remarks) = (String::from_utf8(out).unwrap(), String::from_utf8(remarks).unwrap());
        assert!(out.contains("name: a-b") && out.contains("${A_TOKEN}") && !out.contains("sesame"), "{out}");
        assert!(remarks.contains("set A_TOKEN") && remarks.contains("called `a-b`"), "{remarks}");
    }
}
