//! Writing SSE frames. The log stores them encoded, so that a replay writes bytes.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;

use crate::event_id::EventId;

/// A comment line: keeps proxies and clients from giving up on a quiet stream.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// An event that carries one JSON-RPC message.
pub fn message(id: EventId, json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 64);
    // Writing to a vector cannot fail.
    let _ = writeln!(out, "id: {id}");
    push_message(&mut out, json);
    out.into()
}

/// An event without an id, for streams that nobody resumes (2026-07-28).
pub fn bare_message(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 32);
    push_message(&mut out, json);
    out.into()
}

/// Line breaks in JSON text stand between tokens only (strings escape them), so they become spaces and the event
/// stays one `data` line.
fn push_message(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"event: message\ndata: ");
    let start = out.len();
    out.extend_from_slice(json);
    while let Some(at) = memchr::memchr2(b'\n', b'\r', &out[start..]) {
        out[start + at] = b' ';
    }
    out.extend_from_slice(b"\n\n");
}

/// Reads back what this module wrote: the id and the message of an event. None for comments, for `retry` alone, and for
/// events without data.
pub fn read_back(frame: &Bytes) -> Option<(EventId, Bytes)> {
    let rest = frame.strip_prefix(b"id: ")?;
    let end = memchr::memchr(b'\n', rest)?;
    let id = EventId::parse(std::str::from_utf8(&rest[..end]).ok()?)?;
    let start = memchr::memmem::find(frame, b"\ndata: ")? + b"\ndata: ".len();
    let data = frame.slice(start..frame.len().checked_sub(2)?);
    (!data.is_empty()).then_some((id, data))
}

/// The priming event: an id and empty data, which lets a client resume before the first message (SEP-1699). Only for
/// clients of 2025-11-25 and later: older ones try to parse the empty data.
pub fn priming(id: EventId, retry: Duration) -> Bytes {
    format!("id: {id}\nretry: {}\ndata: \n\n", retry.as_millis()).into()
}

/// Tells the client how long to wait before it comes back; sent before the gateway closes a connection whose
/// stream goes on.
pub fn retry(after: Duration) -> Bytes {
    format!("retry: {}\n\n", after.as_millis()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamId;

    #[test]
    fn a_pretty_printed_body_stays_one_data_line() {
        let id = EventId { stream: StreamId(3), seq: 1 };
        let frame = message(id, b"{\n  \"a\": \"x\\ny\"\r\n}");
        assert_eq!(read_back(&frame), Some((id, Bytes::from_static(b"{   \"a\": \"x\\ny\"  }"))));
        assert_eq!(read_back(&priming(id, Duration::from_secs(1))), None);
        assert_eq!(read_back(&KEEP_ALIVE), None);
        assert_eq!(read_back(&retry(Duration::from_secs(1))), None);
        assert_eq!(&bare_message(b"{\n}")[..], b"event: message\ndata: { }\n\n");
        assert_eq!(&frame[..], b"id: 3-1\nevent: message\ndata: {   \"a\": \"x\\ny\"  }\n\n");
    }
}
