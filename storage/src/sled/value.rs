//! What an entry holds: a version byte, a number (a time, mostly), a length, and the bytes; long values in chunks.
//!
//! sled keeps up to sixteen entries in a leaf, and a leaf over 128 KiB becomes a file of its own: entries stay at 4 KiB.

use bytes::{BufMut, Bytes, BytesMut};

/// The first byte of every value.
pub(super) const VERSION: u8 = 1;
/// The longest entry.
pub(super) const MAX_ENTRY: usize = 4096;
/// The longest value that is accepted at all.
pub(super) const MAX_VALUE: usize = 64 << 20;
/// Version, number, length.
const HEAD: usize = 1 + 8 + 4;
const HEAD_ROOM: usize = MAX_ENTRY - HEAD;
const CHUNK_ROOM: usize = MAX_ENTRY - 1;

/// The head of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// A record's end, an event's time, a trim mark's time; zero where there is no such thing.
    pub number: u64,
    /// Length of the value in all chunks.
    pub len: usize,
}

/// Why an entry cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("its version byte is not known")]
    Version,
    #[error("its head is cut short or says an impossible length")]
    Head,
    #[error("one of its chunks is missing or has the wrong size")]
    Chunk,
}

impl Head {
    /// How many entries the value takes beside its head.
    pub(super) fn chunks(self) -> u32 {
        let rest = self.len.saturating_sub(HEAD_ROOM);
        // MAX_VALUE keeps this far below u32::MAX.
        u32::try_from(rest.div_ceil(CHUNK_ROOM)).unwrap_or(u32::MAX)
    }
}

/// The entries of a value, the head first.
pub(super) fn encode(number: u64, value: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let (first, rest) = value.split_at(value.len().min(HEAD_ROOM));
    let mut head = Vec::with_capacity(HEAD + first.len());
    head.put_u8(VERSION);
    head.put_u64(number);
    // `MAX_VALUE` was checked before.
    head.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
    head.extend_from_slice(first);
    let chunks = rest.chunks(CHUNK_ROOM).map(|chunk| {
        let mut entry = Vec::with_capacity(1 + chunk.len());
        entry.put_u8(VERSION);
        entry.extend_from_slice(chunk);
        entry
    });
    std::iter::once(head).chain(chunks)
}

/// Reads a head without its bytes.
pub(super) fn head(entry: &[u8]) -> Result<Head, Damage> {
    match entry.first() {
        Some(&VERSION) => {}
        Some(_) => return Err(Damage::Version),
        None => return Err(Damage::Head),
    }
    let number = entry.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let len = entry.get(9..HEAD).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let (Some(number), Some(len)) = (number, len) else { return Err(Damage::Head) };
    let len = usize::try_from(len).map_err(|_| Damage::Head)?;
    if len > MAX_VALUE || entry.len() - HEAD != len.min(HEAD_ROOM) {
        return Err(Damage::Head);
    }
    Ok(Head { number, len })
}

/// Puts a value together; `chunk` reads the entry of a chunk number.
pub(super) fn decode<E: From<Damage>, V: AsRef<[u8]>>(
    entry: &[u8],
    mut chunk: impl FnMut(u32) -> Result<Option<V>, E>,
) -> Result<(Head, Bytes), E> {
    let head = head(entry)?;
    let chunks = head.chunks();
    if chunks == 0 {
        return Ok((head, Bytes::copy_from_slice(&entry[HEAD..])));
    }
    let mut value = BytesMut::with_capacity(head.len);
    value.extend_from_slice(&entry[HEAD..]);
    for number in 1..=chunks {
        let Some(entry) = chunk(number)? else { return Err(Damage::Chunk.into()) };
        let Some((&version, bytes)) = entry.as_ref().split_first() else { return Err(Damage::Chunk.into()) };
        if version != VERSION {
            return Err(Damage::Version.into());
        }
        if bytes.len() != CHUNK_ROOM.min(head.len - value.len()) {
            return Err(Damage::Chunk.into());
        }
        value.extend_from_slice(bytes);
    }
    Ok((head, value.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_size_read_back() {
        for len in [0, 1, HEAD_ROOM - 1, HEAD_ROOM, HEAD_ROOM + 1, HEAD_ROOM + CHUNK_ROOM, 24 << 10, 1 << 20] {
            let value: Vec<u8> = (0..len).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let entries: Vec<_> = encode(42, &value).collect();
            assert!(entries.iter().all(|entry| entry.len() <= MAX_ENTRY));
            let (head, read) =
                decode::<Damage, _>(&entries[0], |number| Ok(entries.get(usize::try_from(number).unwrap()))).unwrap();
            assert_eq!((head.number, head.len), (42, len));
            assert_eq!(usize::try_from(head.chunks()).unwrap() + 1, entries.len());
            assert_eq!(read, value);
        }
    }

    #[test]
    fn damage_is_found() {
        let entries: Vec<_> = encode(1, &[9; 9000]).collect();
        let read = |entry: &[u8], get: &dyn Fn(u32) -> Option<Vec<u8>>| decode::<Damage, _>(entry, |n| Ok(get(n)));
        let good = |n: u32| entries.get(usize::try_from(n).unwrap()).cloned();
        assert_eq!(read(&[], &good), Err(Damage::Head));
        assert_eq!(read(&[2, 0], &good), Err(Damage::Version));
        assert_eq!(read(&entries[0][..20], &good), Err(Damage::Head));
        assert_eq!(read(&entries[0], &|_| None), Err(Damage::Chunk));
        assert_eq!(read(&entries[0], &|n| good(n).map(|e| e[..e.len() - 1].to_vec())), Err(Damage::Chunk));
        assert_eq!(read(&entries[0], &|n| good(n).map(|e| [&[9], &e[1..]].concat())), Err(Damage::Version));
    }
}
