//! Opaque tokens: what the gateway hands to a client and wants back unread and unchanged.
//!
//! A token is `base64url(key id, nonce, ciphertext, tag)` with AES-256-GCM-SIV: nonces are random, and this mode keeps
//! its promises when two of them meet, so that a key need not be changed after 2^32 tokens. The context (whose token
//! it is, and for what) is authenticated and not in the token: a token shown in another context does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Tokens longer than this are refused unread, in characters.
pub const MAX_TOKEN: usize = 4096;

const TAG_LEN: usize = 16;

/// What fits into a token of [`MAX_TOKEN`] characters, in bytes.
pub const MAX_PLAINTEXT: usize = MAX_TOKEN / 4 * 3 - 1 - NONCE_LEN - TAG_LEN;

/// Long tokens, of [`Sealer::seal_long`], beyond this are refused unread, in characters.
pub const MAX_LONG_TOKEN: usize = 64 * 1024;

/// What fits into a token of [`MAX_LONG_TOKEN`] characters, in bytes.
pub const MAX_LONG_PLAINTEXT: usize = MAX_LONG_TOKEN / 4 * 3 - 1 - NONCE_LEN - TAG_LEN;

/// A secret key with the id that its tokens carry. Wiped from memory on drop.
pub struct Key {
    id: u8,
    bytes: Zeroizing<[u8; 32]>,
}

/// Seals with one key and opens with that and the ones before it, so that keys can be changed while tokens are out.
pub struct Sealer {
    current: Keyed,
    previous: Vec<Keyed>,
}

struct Keyed {
    id: u8,
    key: RandomizedNonceKey,
}

/// Why something could not be sealed, or a sealer not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Over [`MAX_PLAINTEXT`], or [`MAX_LONG_PLAINTEXT`] in a long token.
    #[error("too long to seal: {0} bytes")]
    TooLong(usize),
    /// Two keys under one id: tokens would not say which opens them.
    #[error("two sealing keys have the id {0}")]
    DuplicateKeyId(u8),
    /// The cryptographic library refused, for want of random bytes.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// Joins parts into one context so that no two lists of parts give the same bytes.
pub fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

// === impl Key ===

impl Key {
    /// A key of 32 random bytes that the caller keeps. `id` must differ from that of every other key in use.
    pub fn new(id: u8, bytes: [u8; 32]) -> Self {
        Self { id, bytes: Zeroizing::new(bytes) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

// === impl Sealer ===

impl Sealer {
    /// Seals with `current`; tokens of `previous` still open.
    ///
    /// # Errors
    /// [`SealError::DuplicateKeyId`] where two keys share an id.
    pub fn new(current: Key, previous: Vec<Key>) -> Result<Self, SealError> {
        let mut seen = vec![current.id];
        for key in &previous {
            if seen.contains(&key.id) {
                return Err(SealError::DuplicateKeyId(key.id));
            }
            seen.push(key.id);
        }
        let previous = previous.iter().map(Keyed::new).collect::<Result<_, _>>()?;
        Ok(Self { current: Keyed::new(&current)?, previous })
    }

    /// Seals `plaintext` for `context`. Two calls give two different tokens.
    ///
    /// # Errors
    /// [`SealError::TooLong`] where the token could not be opened again.
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<String, SealError> {
        self.seal_within(MAX_PLAINTEXT, context, plaintext)
    }

    /// As [`Self::seal`], for what may take up to [`MAX_LONG_PLAINTEXT`]: state that travels in bodies, where a cursor
    /// would have to fit elsewhere too.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_long(&self, context: &[u8], plaintext: &[u8]) -> Result<String, SealError> {
        self.seal_within(MAX_LONG_PLAINTEXT, context, plaintext)
    }

    fn seal_within(&self, max: usize, context: &[u8], plaintext: &[u8]) -> Result<String, SealError> {
        if plaintext.len() > max {
            return Err(SealError::TooLong(plaintext.len()));
        }
        let mut sealed = plaintext.to_vec();
        let nonce = self
            .current
            .key
            .seal_in_place_append_tag(Aad::from(aad(self.current.id, context)), &mut sealed)
            .map_err(|_| SealError::Crypto)?;
        let mut token = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        token.push(self.current.id);
        token.extend_from_slice(nonce.as_ref());
        token.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// The plaintext of a token sealed for `context`; none for anything else, and it does not say what was wrong.
    pub fn open(&self, context: &[u8], token: &str) -> Option<Vec<u8>> {
        self.open_within(MAX_TOKEN, context, token)
    }

    /// As [`Self::open`], for a token of [`Self::seal_long`].
    pub fn open_long(&self, context: &[u8], token: &str) -> Option<Vec<u8>> {
        self.open_within(MAX_LONG_TOKEN, context, token)
    }

    fn open_within(&self, max: usize, context: &[u8], token: &str) -> Option<Vec<u8>> {
        if token.len() > max {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, rest) = token.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keyed = std::iter::once(&self.current).chain(&self.previous).find(|keyed| keyed.id == *id)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let length = keyed.key.open_in_place(nonce, Aad::from(aad(*id, context)), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer(current {}, {} previous)", self.current.id, self.previous.len())
    }
}

// === impl Keyed ===

impl Keyed {
    fn new(key: &Key) -> Result<Self, SealError> {
        let aead = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key.bytes[..]).map_err(|_| SealError::Crypto)?;
        Ok(Self { id: key.id, key: aead })
    }
}

/// The key id is authenticated too: a token cannot be passed off as one of another key.
fn aad(id: u8, context: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(1 + context.len());
    aad.push(id);
    aad.extend_from_slice(context);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(id: u8, previous: Vec<Key>) -> Sealer {
        Sealer::new(Key::new(id, [id; 32]), previous).unwrap()
    }

    #[test]
    fn a_token_opens_in_its_context_only_and_never_looks_the_same() {
        let sealer = sealer(1, Vec::new());
        let token = sealer.seal(b"alice", b"page 2").unwrap();
        assert_eq!(sealer.open(b"alice", &token).unwrap(), b"page 2");
        assert_eq!(sealer.open(b"bob", &token), None);
        assert_ne!(token, sealer.seal(b"alice", b"page 2").unwrap());
    }

    #[test]
    fn tokens_of_a_previous_key_open_until_it_is_gone() {
        let token = sealer(1, Vec::new()).seal(b"", b"x").unwrap();
        assert_eq!(sealer(2, vec![Key::new(1, [1; 32])]).open(b"", &token).unwrap(), b"x");
        assert_eq!(sealer(2, Vec::new()).open(b"", &token), None);
        // The id of another key does not make it open.
        assert_eq!(Sealer::new(Key::new(1, [9; 32]), Vec::new()).unwrap().open(b"", &token), None);
        assert_eq!(
            Sealer::new(Key::new(1, [1; 32]), vec![Key::new(1, [2; 32])]).unwrap_err(),
            SealError::DuplicateKeyId(1)
        );
    }

    #[test]
    fn what_can_be_sealed_can_be_opened_and_no_more() {
        let sealer = sealer(1, Vec::new());
        let token = sealer.seal(b"", &[7; MAX_PLAINTEXT]).unwrap();
        assert!(token.len() <= MAX_TOKEN);
        assert_eq!(sealer.open(b"", &token).unwrap().len(), MAX_PLAINTEXT);
        assert_eq!(sealer.seal(b"", &[7; MAX_PLAINTEXT + 1]), Err(SealError::TooLong(MAX_PLAINTEXT + 1)));
        for bad in ["", "AQ", "not base64!", &"A".repeat(MAX_TOKEN + 4)] {
            assert_eq!(sealer.open(b"", bad), None);
        }
    }

    #[test]
    fn a_long_token_has_its_own_bound() {
        let sealer = sealer(1, Vec::new());
        let token = sealer.seal_long(b"", &[7; MAX_LONG_PLAINTEXT]).unwrap();
        assert!(token.len() > MAX_TOKEN && token.len() <= MAX_LONG_TOKEN);
        assert_eq!(sealer.open_long(b"", &token).unwrap().len(), MAX_LONG_PLAINTEXT);
        assert_eq!(sealer.open(b"", &token), None);
        assert!(sealer.seal_long(b"", &[7; MAX_LONG_PLAINTEXT + 1]).is_err());
    }

    #[test]
    fn keys_do_not_show() {
        let shown = format!("{:?} {:?}", Key::new(200, [171; 32]), sealer(171, Vec::new()));
        assert_eq!(shown, "Key(200) Sealer(current 171, 0 previous)");
    }

    #[test]
    fn contexts_of_different_parts_differ() {
        assert_ne!(context(&[b"a", b"bc"]), context(&[b"ab", b"c"]));
        assert_ne!(context(&[b"a"]), context(&[b"a", b""]));
    }
}
