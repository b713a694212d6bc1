//! Reads a body: bounded in size and time.

use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

use super::HttpError;

/// Longest time for a body to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Reads the whole body.
pub async fn read(payload: &mut Payload, limit: usize, announced: Option<usize>) -> Result<Bytes, HttpError> {
    if announced.is_some_and(|length| length > limit) {
        return Err(HttpError::TooLarge(limit));
    }
    match tokio::time::timeout(BODY_DEADLINE, collect(payload, limit)).await {
        Ok(body) => body,
        Err(_) => Err(HttpError::BodyTimeout),
    }
}

async fn collect(payload: &mut Payload, limit: usize) -> Result<Bytes, HttpError> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| HttpError::BodyBroken)?;
    if first.len() > limit {
        return Err(HttpError::TooLarge(limit));
    }
    // Small bodies come in one piece: no copy.
    let Some(second) = payload.next().await else { return Ok(first) };
    let mut body = BytesMut::from(&first[..]);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(|_| HttpError::BodyBroken)?;
        if body.len() + chunk.len() > limit {
            return Err(HttpError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(body.freeze())
}
