//! Where things lie in the one tree: prefixed keys, fixed widths, big-endian numbers, so that key order is the order
//! in which things are read.
//!
//! | key | value |
//! |---|---|
//! | `a` name | the engine's own numbers: schema version, boot epoch |
//! | `c` gateway target | a catalogue (names with a length before them) |
//! | `d` session 1 kind id | an item |
//! | `d` session 2 stream | the trim mark: the newest sequence that was trimmed |
//! | `d` session 3 stream seq | an event |
//! | `m` name | a named value of the gateway |
//! | `o` collection scope id | an object of the control plane (names with a length before them) |
//! | `q` key | what could not be read, under the key where it was |
//! | `s` session | the record |
//! | `x` expiry session | the expiry index |
//!
//! A value that is too long for one entry continues under its key followed by a chunk number of four bytes. Every key
//! is self-delimiting, so a key that is a prefix of another one is always the head of its chunks.

use sessiongate_protocol::StreamId;

use crate::control::ObjectKey;
use crate::model::{ItemKind, SessionKey, Timestamp};

/// The boot epoch.
pub(super) const EPOCH: &[u8] = b"aepoch";
/// The version of this layout.
pub(super) const SCHEMA: &[u8] = b"aschema";
pub(super) const CATALOGUES: &[u8] = b"c";
pub(super) const METAS: &[u8] = b"m";
pub(super) const OBJECTS: &[u8] = b"o";
pub(super) const RECORDS: &[u8] = b"s";
pub(super) const EXPIRIES: &[u8] = b"x";

const SESSION: usize = 16;
const TAG: usize = 1 + SESSION;
const ITEM: u8 = 1;
const TRIM: u8 = 2;
const EVENT: u8 = 3;
const ITEM_LEN: usize = TAG + 1 + 1 + 8;
const TRIM_LEN: usize = TAG + 1 + 4;
const EVENT_LEN: usize = TAG + 1 + 4 + 8;
/// The chunk number that follows a key.
const CHUNK: usize = 4;

/// What an entry under `d` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Item(ItemKind, u64),
    Trim(StreamId),
    Event(StreamId, u64),
    /// A further chunk of one of these.
    Chunk,
}

pub(super) fn record(key: SessionKey) -> Vec<u8> {
    [RECORDS, &key.0].concat()
}

/// Everything of a session but its record.
pub(super) fn data(key: SessionKey) -> Vec<u8> {
    [b"d", &key.0[..]].concat()
}

pub(super) fn item(key: SessionKey, kind: ItemKind, id: u64) -> Vec<u8> {
    [b"d", &key.0[..], &[ITEM, kind.0], &id.to_be_bytes()].concat()
}

pub(super) fn trim(key: SessionKey, stream: StreamId) -> Vec<u8> {
    [b"d", &key.0[..], &[TRIM], &stream.0.to_be_bytes()].concat()
}

/// The events of a stream.
pub(super) fn events(key: SessionKey, stream: StreamId) -> Vec<u8> {
    [b"d", &key.0[..], &[EVENT], &stream.0.to_be_bytes()].concat()
}

pub(super) fn event(key: SessionKey, stream: StreamId, seq: u64) -> Vec<u8> {
    let mut bytes = events(key, stream);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes
}

pub(super) fn expiry(expires: Timestamp, key: SessionKey) -> Vec<u8> {
    [EXPIRIES, &expires.0.to_be_bytes(), &key.0].concat()
}

pub(super) fn catalogue(gateway: &str, target: &str) -> Vec<u8> {
    let mut bytes = CATALOGUES.to_vec();
    put_name(&mut bytes, gateway);
    put_name(&mut bytes, target);
    bytes
}

pub(super) fn meta(name: &str) -> Vec<u8> {
    let mut bytes = METAS.to_vec();
    put_name(&mut bytes, name);
    bytes
}

/// All objects of a collection.
pub(super) fn objects_of(collection: &str) -> Vec<u8> {
    let mut bytes = OBJECTS.to_vec();
    put_name(&mut bytes, collection);
    bytes
}

pub(super) fn object(key: &ObjectKey) -> Vec<u8> {
    let mut bytes = objects_of(&key.collection);
    put_name(&mut bytes, &key.scope);
    put_name(&mut bytes, &key.id);
    bytes
}

/// Where the entry at `key` goes when it cannot be read.
pub(super) fn quarantine(key: &[u8]) -> Vec<u8> {
    [b"q", key].concat()
}

/// What lies at `key`, for the log: keys themselves are not shown, and catalogue names are not ours to log as damage.
pub(super) fn kind(key: &[u8]) -> &'static str {
    match (key.first(), read_data(key)) {
        (Some(b's'), _) => "record",
        (Some(b'c'), _) => "catalogue",
        (Some(b'm'), _) => "named value",
        (Some(b'o'), _) => "control object",
        (_, Some((_, Part::Item(..)))) => "item",
        (_, Some((_, Part::Trim(_)))) => "trim mark",
        (_, Some((_, Part::Event(..)))) => "event",
        _ => "unknown",
    }
}

/// The key of a further chunk; the head has the number 0 and no suffix.
pub(super) fn chunk(head: &[u8], number: u32) -> Vec<u8> {
    [head, &number.to_be_bytes()[..]].concat()
}

/// The session of a record's key; none for a chunk of a record.
pub(super) fn read_record(bytes: &[u8]) -> Option<SessionKey> {
    let (&b's', rest) = bytes.split_first()? else { return None };
    Some(SessionKey(rest.try_into().ok()?))
}

/// The session of any entry under `d`, and what it is.
pub(super) fn read_data(bytes: &[u8]) -> Option<(SessionKey, Part)> {
    let (&b'd', _) = bytes.split_first()? else { return None };
    let key = SessionKey(bytes.get(1..TAG)?.try_into().ok()?);
    let tag = *bytes.get(TAG)?;
    let body = &bytes[TAG + 1..];
    let part = match (tag, bytes.len()) {
        (ITEM, ITEM_LEN) => Part::Item(ItemKind(*body.first()?), u64_at(body, 1)?),
        (TRIM, TRIM_LEN) => Part::Trim(StreamId(u32_at(body, 0)?)),
        (EVENT, EVENT_LEN) => Part::Event(StreamId(u32_at(body, 0)?), u64_at(body, 4)?),
        (ITEM, len) if len == ITEM_LEN + CHUNK => Part::Chunk,
        (EVENT, len) if len == EVENT_LEN + CHUNK => Part::Chunk,
        _ => return None,
    };
    Some((key, part))
}

pub(super) fn read_expiry(bytes: &[u8]) -> Option<(Timestamp, SessionKey)> {
    let (&b'x', rest) = bytes.split_first()? else { return None };
    Some((Timestamp(u64_at(rest, 0)?), SessionKey(rest.get(8..)?.try_into().ok()?)))
}

/// The gateway and the target of a catalogue's key; none for a chunk.
pub(super) fn read_catalogue(bytes: &[u8]) -> Option<(String, String)> {
    let (gateway, rest) = take_name(bytes.strip_prefix(CATALOGUES)?)?;
    let (target, rest) = take_name(rest)?;
    rest.is_empty().then_some((gateway, target))
}

/// The name of a named value's key; none for a chunk.
pub(super) fn read_meta(bytes: &[u8]) -> Option<String> {
    let (name, rest) = take_name(bytes.strip_prefix(METAS)?)?;
    rest.is_empty().then_some(name)
}

/// The object of a key; none for a chunk.
pub(super) fn read_object(bytes: &[u8]) -> Option<ObjectKey> {
    let (collection, rest) = take_name(bytes.strip_prefix(OBJECTS)?)?;
    let (scope, rest) = take_name(rest)?;
    let (id, rest) = take_name(rest)?;
    rest.is_empty().then(|| ObjectKey::scoped(&collection, &scope, &id))
}

fn put_name(bytes: &mut Vec<u8>, name: &str) {
    // The store refuses longer names (`MAX_NAME`), so nothing is cut here.
    let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&name.as_bytes()[..usize::from(len)]);
}

fn take_name(bytes: &[u8]) -> Option<(String, &[u8])> {
    let len = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    let name = std::str::from_utf8(bytes.get(2..2 + len)?).ok()?;
    Some((name.to_owned(), &bytes[2 + len..]))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SessionKey = SessionKey([7; 16]);

    #[test]
    fn keys_read_back() {
        assert_eq!(read_record(&record(KEY)), Some(KEY));
        assert_eq!(read_record(&chunk(&record(KEY), 1)), None);
        let event_key = event(KEY, StreamId(3), 9);
        assert_eq!(read_data(&event_key), Some((KEY, Part::Event(StreamId(3), 9))));
        assert_eq!(read_data(&chunk(&event_key, 1)), Some((KEY, Part::Chunk)));
        assert_eq!(read_data(&item(KEY, ItemKind(2), 5)), Some((KEY, Part::Item(ItemKind(2), 5))));
        assert_eq!(read_data(&trim(KEY, StreamId(3))), Some((KEY, Part::Trim(StreamId(3)))));
        assert_eq!(read_expiry(&expiry(Timestamp(5), KEY)), Some((Timestamp(5), KEY)));
        assert_eq!(read_catalogue(&catalogue("shop", "cart")), Some(("shop".into(), "cart".into())));
        assert_eq!(read_meta(&meta("seal")), Some("seal".into()));
        assert_eq!(read_meta(&chunk(&meta("seal"), 1)), None);
    }

    #[test]
    fn names_cannot_run_into_each_other() {
        assert_ne!(catalogue("ab", "c"), catalogue("a", "bc"));
    }

    #[test]
    fn order_is_numeric_and_chunks_follow_their_head() {
        assert!(event(KEY, StreamId(1), 255) < event(KEY, StreamId(1), 256));
        assert!(chunk(&event(KEY, StreamId(1), 255), 9) < event(KEY, StreamId(1), 256));
        assert!(expiry(Timestamp(255), SessionKey([9; 16])) < expiry(Timestamp(256), SessionKey([0; 16])));
    }
}
