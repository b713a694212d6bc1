//! Export and import: one JSON object a line, values in base64. For backups, and for moving to another engine.
//!
//! The first line names the format, the last one counts the lines between, so that a file that was cut short is
//! noticed. An export holds all that the store holds, also the named values of the gateway: keep it like a secret.

use std::io::{BufRead, Read, Write};
use std::sync::mpsc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sessiongate_protocol::StreamId;

use super::read::{ReadError, View};
use super::writer::{Job, Reply, Row};
use super::{SledStore, keys};
use crate::control::ObjectKey;
use crate::model::{ItemKind, Op, SessionKey, Timestamp};
use crate::store::{MAX_NAME, StoreError};

const FORMAT: &str = "sessiongate-export";
const VERSION: u32 = 1;
/// The longest value (64 MiB) in base64, with what stands around it.
const MAX_LINE: u64 = 96 << 20;
/// Sessions looked up at a time.
const PAGE: usize = 64;
/// Rows and bytes of one batch of an import.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// Why an export or an import stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NdjsonError {
    /// The file could not be read or written.
    #[error("the export file failed: {0}")]
    Io(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A line is not what it should be. The lines before it may have been imported.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The last line is missing. The others were imported.
    #[error("the file is cut short: its last line is missing")]
    CutShort,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
}

/// A line between the first and the end of the file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    Session { key: String, expires: Timestamp, record: Base64 },
    Item { key: String, kind: ItemKind, id: u64, value: Base64 },
    Event { key: String, stream: StreamId, seq: u64, at: Timestamp, frame: Base64 },
    Trimmed { key: String, stream: StreamId, through: u64 },
    Catalogue { gateway: String, target: String, value: Base64 },
    Meta { name: String, value: Base64 },
    Object { collection: String, scope: String, id: String, value: Base64 },
    End { lines: u64 },
}

struct Base64(Bytes);

/// Writes everything as lines; says how many. Each session is exported as it was at one moment. Blocks: call it on a
/// blocking thread.
///
/// # Errors
/// [`NdjsonError::Io`] when `out` does not take it, [`NdjsonError::Store`] when the store cannot be read.
pub fn export_ndjson(store: &SledStore, out: &mut dyn Write) -> Result<u64, NdjsonError> {
    let mut lines = 0;
    write_line(out, &Header { format: FORMAT.to_owned(), version: VERSION })?;
    let mut write = |row: Row| -> Result<(), NdjsonError> {
        // What has no line is a deletion, which a reading never yields.
        let Some(line) = Line::from_row(row) else { return Ok(()) };
        lines += 1;
        write_line(out, &line)
    };
    for prefix in [keys::METAS, keys::CATALOGUES, keys::OBJECTS] {
        store.read_blocking(|view| view.named_rows(prefix))?.into_iter().try_for_each(&mut write)?;
    }
    let mut after = None;
    loop {
        let page = store.read_blocking(|view| Ok(view.session_keys(after, PAGE)?))?;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for key in page {
            store.read_blocking(|view| view.session_rows(key))?.into_iter().try_for_each(&mut write)?;
        }
    }
    write_line(out, &Line::End { lines })?;
    out.flush()?;
    Ok(lines)
}

/// Reads what [`export_ndjson`] wrote; says how many lines. A session, catalogue or named value that is in the file
/// replaces the one in the store, what is not in it stays. Leases are not asked: import into a store that serves
/// nobody. Blocks: call it on a blocking thread.
///
/// # Errors
/// [`NdjsonError::Line`] for a line that is wrong, [`NdjsonError::CutShort`], [`NdjsonError::Io`],
/// [`NdjsonError::Store`]. What was read before is imported then; the import can be repeated.
pub fn import_ndjson(store: &SledStore, input: &mut dyn BufRead) -> Result<u64, NdjsonError> {
    let mut number = 1;
    let mut buffer = Vec::new();
    let wrong = |line, why: &dyn std::fmt::Display| NdjsonError::Line { line, why: why.to_string() };
    if !read_line(input, &mut buffer, number)? {
        return Err(NdjsonError::CutShort);
    }
    let header: Header = serde_json::from_slice(&buffer).map_err(|error| wrong(number, &error))?;
    if header.format != FORMAT || header.version != VERSION {
        return Err(wrong(number, &format_args!("not a {FORMAT} file of version {VERSION}")));
    }
    let mut lines = 0;
    let mut rows = Vec::new();
    let mut bytes = 0;
    loop {
        number += 1;
        if !read_line(input, &mut buffer, number)? {
            store.restore(std::mem::take(&mut rows))?;
            return Err(NdjsonError::CutShort);
        }
        let line: Line = serde_json::from_slice(&buffer).map_err(|error| wrong(number, &error))?;
        if let Line::End { lines: expected } = line {
            store.restore(std::mem::take(&mut rows))?;
            if expected != lines {
                return Err(wrong(number, &format_args!("{expected} lines were written, {lines} are here")));
            }
            return Ok(lines);
        }
        lines += 1;
        let row = line.into_row().map_err(|why| wrong(number, &why))?;
        if let Row::Op(key, Op::PutRecord { .. }) = row {
            rows.push(Row::Op(key, Op::DeleteSession));
        }
        bytes += row.bytes();
        rows.push(row);
        if rows.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
            store.restore(std::mem::take(&mut rows))?;
            bytes = 0;
        }
    }
}

// === impl Line ===

impl Line {
    fn from_row(row: Row) -> Option<Self> {
        Some(match row {
            Row::Op(key, Op::PutRecord { value, expires }) => {
                Self::Session { key: key.to_hex(), expires, record: Base64(value) }
            }
            Row::Op(key, Op::PutItem { kind, id, value }) => {
                Self::Item { key: key.to_hex(), kind, id, value: Base64(value) }
            }
            Row::Op(key, Op::Append { stream, seq, at, frame }) => {
                Self::Event { key: key.to_hex(), stream, seq, at, frame: Base64(frame) }
            }
            Row::Op(..) => return None,
            Row::Mark(key, stream, through) => Self::Trimmed { key: key.to_hex(), stream, through },
            Row::Object(key, value) => {
                let key = keys::read_object(&key)?;
                let (collection, scope, id) = (key.collection.into(), key.scope.into(), key.id.into());
                Self::Object { collection, scope, id, value: Base64(value) }
            }
            Row::Named(key, value) => match (keys::read_catalogue(&key), keys::read_meta(&key)) {
                (Some((gateway, target)), _) => Self::Catalogue { gateway, target, value: Base64(value) },
                (None, Some(name)) => Self::Meta { name, value: Base64(value) },
                (None, None) => return None,
            },
        })
    }

    fn into_row(self) -> Result<Row, &'static str> {
        let session = |key: String| SessionKey::from_hex(&key).ok_or("`key` is not 32 hexadecimal digits");
        let named = |names: &[&String]| match names.iter().all(|name| name.len() <= MAX_NAME) {
            true => Ok(()),
            false => Err("a name is too long"),
        };
        Ok(match self {
            Self::Session { key, expires, record } => {
                Row::Op(session(key)?, Op::PutRecord { value: record.0, expires })
            }
            Self::Item { key, kind, id, value } => Row::Op(session(key)?, Op::PutItem { kind, id, value: value.0 }),
            Self::Event { key, stream, seq, at, frame } => {
                Row::Op(session(key)?, Op::Append { stream, seq, at, frame: frame.0 })
            }
            Self::Trimmed { key, stream, through } => Row::Mark(session(key)?, stream, through),
            Self::Catalogue { gateway, target, value } => {
                named(&[&gateway, &target])?;
                Row::Named(keys::catalogue(&gateway, &target), value.0)
            }
            Self::Object { collection, scope, id, value } => {
                named(&[&collection, &scope, &id])?;
                Row::Object(keys::object(&ObjectKey::scoped(&collection, &scope, &id)), value.0)
            }
            Self::Meta { name, value } => {
                named(&[&name])?;
                Row::Named(keys::meta(&name), value.0)
            }
            Self::End { .. } => return Err("the end stands before the end"),
        })
    }
}

// === impl Base64 ===

impl Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(|bytes| Self(bytes.into())).map_err(serde::de::Error::custom)
    }
}

// === impl SledStore ===

impl SledStore {
    /// Reads on this thread; what is damaged is put aside and the rest read again.
    fn read_blocking<T>(&self, work: impl Fn(View<'_>) -> Result<T, ReadError>) -> Result<T, StoreError> {
        let mut again = true;
        loop {
            let read = {
                let _gate = self.inner.gate.read();
                work(View(&self.inner.db))
            };
            match read {
                Ok(value) => return Ok(value),
                Err(ReadError::Store(error)) => return Err(error),
                Err(ReadError::Damaged(heads)) if again => {
                    again = false;
                    self.submit_blocking(|reply| Job::Quarantine { heads, reply })?;
                }
                Err(ReadError::Damaged(_)) => return Err(StoreError::Unreadable("a damaged value".into())),
            }
        }
    }

    fn restore(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.submit_blocking(|reply| Job::Restore { rows, reply })
    }

    fn submit_blocking(&self, job: impl FnOnce(Reply) -> Job) -> Result<(), StoreError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.enqueue(job(Reply::Sync(reply)))?;
        answer.recv().unwrap_or_else(|_| Err(StoreError::Engine("the writer has ended".into())))
    }
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<(), NdjsonError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Reads one line; false at the end of the input.
fn read_line(input: &mut dyn BufRead, buffer: &mut Vec<u8>, number: u64) -> Result<bool, NdjsonError> {
    buffer.clear();
    input.take(MAX_LINE).read_until(b'\n', buffer)?;
    if buffer.len() as u64 == MAX_LINE && buffer.last() != Some(&b'\n') {
        return Err(NdjsonError::Line { line: number, why: "the line is too long".into() });
    }
    Ok(!buffer.is_empty())
}
