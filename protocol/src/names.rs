//! The names under which a gateway offers what its targets offer.
//!
//! A name is never altered but by the prefix and, where a client asks for a limit, by shortening: characters outside
//! `[A-Za-z0-9_.-]` stay (the specification says SHOULD, and a target's own clients call it by that name). Going
//! back from an exposed name to a target is a look-up in the catalogue, never a split: both parts may hold `___`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use aws_lc_rs::digest;

/// Stands between the target's name and the name the target gave.
pub const SEPARATOR: &str = "___";

/// What several model providers accept at most for a tool name, in bytes. Not an MCP limit (that is 128).
pub const MODEL_LIMIT: usize = 64;

/// The limits that a client may ask for, in bytes: a name needs a beginning that a person can read besides the hash.
pub const CLIENT_LIMITS: RangeInclusive<u16> = 16..=256;

/// Characters of the hash in a shortened name: 50 bits, so that names of one catalogue do not meet by chance.
const HASH_CHARS: usize = 10;

/// Lowercase base32 without padding (RFC 4648 alphabet): fits every provider's rule for names.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The name a client sees: `target___name`.
pub fn exposed(target: &str, name: &str) -> String {
    let mut out = String::with_capacity(target.len() + SEPARATOR.len() + name.len());
    let _ = write!(out, "{target}{SEPARATOR}{name}");
    out
}

/// `exposed` where it fits into `limit` bytes, else its beginning, `_`, and a hash of the whole: the same for every
/// call, every process and every restart, within the limit, and different for different names. A catalogue must
/// still refuse a second entry under a name that is taken: a target may offer a name that looks shortened.
///
/// A limit too small for a beginning leaves the hash alone, cut to the limit.
pub fn shortened(exposed: &str, limit: usize) -> Cow<'_, str> {
    if exposed.len() <= limit {
        return Cow::Borrowed(exposed);
    }
    let hash = hash(exposed);
    let Some(room) = limit.checked_sub(HASH_CHARS + 1).filter(|room| *room > 0) else {
        return Cow::Owned(hash.chars().take(limit).collect());
    };
    let beginning = &exposed[..exposed.floor_char_boundary(room)];
    Cow::Owned(format!("{beginning}_{hash}"))
}

fn hash(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut bits = 0u64;
    for byte in digest.as_ref().iter().take(8) {
        bits = bits << 8 | u64::from(*byte);
    }
    (0..HASH_CHARS).map(|at| char::from(BASE32[(bits >> (59 - 5 * at) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_not_touched() {
        assert_eq!(exposed("cart", "add item/é"), "cart___add item/é");
        assert!(matches!(shortened("cart___add", 10), Cow::Borrowed("cart___add")));
    }

    #[test]
    fn shortening_is_stable_over_releases() {
        let long = exposed("inventory", &"x".repeat(80));
        let short = shortened(&long, MODEL_LIMIT);
        assert_eq!(short.len(), MODEL_LIMIT);
        // A change here renames tools under running clients.
        assert_eq!(short, "inventory___xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_xtdrinywx7");
    }

    #[test]
    fn tiny_limits_and_wide_characters_stay_within_the_limit() {
        let long = "é".repeat(40);
        for limit in 0..80 {
            let short = shortened(&long, limit);
            assert!(short.len() <= limit, "{limit}: {short}");
        }
    }
}
