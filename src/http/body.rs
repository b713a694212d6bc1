//! Reads a body: bounded in size and time.

use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

use super::HttpError;
use super::waiting::{Held, Waiting};

/// Longest time for a body to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Reads the whole body.
pub async fn read(payload: &mut Payload, limit: usize, announced: Option<usize>) -> Result<Bytes, HttpError> {
    timely(payload, limit, announced, |_| Ok(())).await
}

/// Reads the whole body of somebody who is not known yet. It takes room until what is returned beside it is dropped.
pub async fn read_unproven(
    payload: &mut Payload,
    limit: usize,
    announced: Option<usize>,
    waiting: &Waiting,
) -> Result<(Bytes, Held), HttpError> {
    let mut held = Held::default();
    let body = timely(payload, limit, announced, |bytes| waiting.take(&mut held, bytes)).await?;
    Ok((body, held))
}

/// The length that a request announces.
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn timely(
    payload: &mut Payload,
    limit: usize,
    announced: Option<usize>,
    take: impl FnMut(usize) -> Result<(), HttpError>,
) -> Result<Bytes, HttpError> {
    if announced.is_some_and(|length| length > limit) {
        return Err(HttpError::TooLarge(limit));
    }
    match tokio::time::timeout(BODY_DEADLINE, collect(payload, limit, take)).await {
        Ok(body) => body,
        Err(_) => Err(HttpError::BodyTimeout),
    }
}

async fn collect(
    payload: &mut Payload,
    limit: usize,
    mut take: impl FnMut(usize) -> Result<(), HttpError>,
) -> Result<Bytes, HttpError> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| HttpError::BodyBroken)?;
    if first.len() > limit {
        return Err(HttpError::TooLarge(limit));
    }
    take(first.len())?;
    // Small bodies come in one piece: no copy.
    let Some(second) = payload.next().await else { return Ok(first) };
    let mut body = BytesMut::from(&first[..]);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(|_| HttpError::BodyBroken)?;
        if body.len() + chunk.len() > limit {
            return Err(HttpError::TooLarge(limit));
        }
        take(chunk.len())?;
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(body.freeze())
}
