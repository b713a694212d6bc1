//! Reading a body without believing its length.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use reqwest::Response;

use crate::error::TargetError;

/// What is left of an answered stream is read for this long, so that its connection can be used again.
const DRAIN_TIME: Duration = Duration::from_secs(1);
const DRAIN_BYTES: usize = 64 * 1024;

/// Reads a body of at most `limit` bytes. More is refused as soon as it is known, and what came is freed.
///
/// # Errors
/// [`TargetError::TooLarge`]; [`TargetError::OutcomeUnknown`] where the connection breaks.
pub(crate) async fn read(mut answer: Response, limit: usize) -> Result<Bytes, TargetError> {
    let too_large = TargetError::TooLarge { limit };
    if answer.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large);
    }
    let Some(first) = next(&mut answer).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_large);
    }
    // Most bodies come in one piece, which is then not copied.
    let Some(second) = next(&mut answer).await? else { return Ok(first) };
    let expected = answer.content_length().map_or(first.len() * 2, |length| length as usize);
    let mut whole = BytesMut::with_capacity(expected.min(limit));
    whole.extend_from_slice(&first);
    let mut piece = second;
    loop {
        if whole.len() + piece.len() > limit {
            return Err(too_large);
        }
        whole.extend_from_slice(&piece);
        match next(&mut answer).await? {
            Some(more) => piece = more,
            None => return Ok(whole.freeze()),
        }
    }
}

async fn next(answer: &mut Response) -> Result<Option<Bytes>, TargetError> {
    answer.chunk().await.map_err(|error| TargetError::OutcomeUnknown { detail: error.without_url().to_string() })
}

/// Lets go of an answer whose body does not matter. Usually its end is there already; otherwise it is awaited in the
/// background for a moment, because a connection that is dropped in the middle of a body cannot be used again.
pub(crate) fn discard(mut answer: Response) {
    if matches!(answer.chunk().now_or_never(), Some(Ok(None) | Err(_))) {
        return;
    }
    tokio::spawn(async move {
        let _ = tokio::time::timeout(DRAIN_TIME, async move {
            let mut seen = 0;
            while let Ok(Some(piece)) = answer.chunk().await {
                seen += piece.len();
                if seen > DRAIN_BYTES {
                    break;
                }
            }
        })
        .await;
    });
}
