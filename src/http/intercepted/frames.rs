//! The frames of an event stream that the gateway writes: each is an event, or a comment.

use std::future::poll_fn;
use std::pin::Pin;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::web::{Bytes, BytesMut};

/// Frames of a body.
pub(super) struct Frames {
    body: BoxBody,
    rest: BytesMut,
}

// === impl Frames ===

impl Frames {
    pub fn of(body: BoxBody) -> Self {
        Self { body, rest: BytesMut::new() }
    }

    /// The next frame with the blank line that ends it; what is left at the end of the body comes last. A body that breaks
    /// ends. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = end_of(&self.rest) {
                return Some(self.rest.split_to(end).freeze());
            }
            match poll_fn(|context| Pin::new(&mut self.body).poll_next(context)).await {
                // Nearly always a frame comes by itself.
                Some(Ok(bytes)) if self.rest.is_empty() && end_of(&bytes) == Some(bytes.len()) => return Some(bytes),
                Some(Ok(bytes)) => self.rest.extend_from_slice(&bytes),
                Some(Err(_)) | None if self.rest.is_empty() => return None,
                Some(Err(_)) | None => return Some(self.rest.split().freeze()),
            }
        }
    }
}

fn end_of(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\n\n").map(|at| at + 2)
}

/// What an event says; none for comments, and for events without data. The gateway writes all of it into one line.
pub(super) fn data_of(frame: &Bytes) -> Option<Bytes> {
    let mut at = 0;
    for line in frame.split_inclusive(|byte| *byte == b'\n') {
        if let Some(data) = line.strip_prefix(b"data: ") {
            let start = at + line.len() - data.len();
            let data = frame.slice(start..at + line.len()).slice(..data.len() - usize::from(data.ends_with(b"\n")));
            return (!data.is_empty()).then_some(data);
        }
        at += line.len();
    }
    None
}

/// The event with other data, in one line: line breaks of JSON stand between tokens only.
pub(super) fn with_data(frame: &Bytes, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(frame.len() + body.len());
    for line in frame.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b"data:") {
            out.extend_from_slice(line);
            continue;
        }
        out.extend_from_slice(b"data: ");
        out.extend(body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        out.push(b'\n');
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use actix_web::body::BodyStream;
    use futures_util::stream;

    use super::*;

    async fn frames(chunks: &[&'static str]) -> Vec<Bytes> {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))).collect();
        let mut frames = Frames::of(BoxBody::new(BodyStream::new(stream::iter(chunks))));
        let mut all = Vec::new();
        while let Some(frame) = frames.next().await {
            all.push(frame);
        }
        all
    }

    #[actix_web::test]
    async fn a_body_is_cut_between_events_wherever_its_pieces_end() {
        let whole = "id: 1-1\nevent: message\ndata: {}\n\n: keep-alive\n\nid: 1-2\ndata: \n\n";
        let expected =
            frames(&["id: 1-1\nevent: message\ndata: {}\n\n", ": keep-alive\n\n", "id: 1-2\ndata: \n\n"]).await;
        assert_eq!(expected.len(), 3);
        for at in 1..whole.len() {
            assert_eq!(frames(&[&whole[..at], &whole[at..]]).await, expected, "{at}");
        }
        assert_eq!(frames(&["data: {}\n\ndata: cut"]).await[1], "data: cut");
    }

    #[test]
    fn an_event_keeps_its_id_and_stays_one_line() {
        let frame = Bytes::from_static(b"id: 1-1\nevent: message\ndata: {}\n\n");
        assert_eq!(with_data(&frame, b"{\n\"a\":1}"), "id: 1-1\nevent: message\ndata: { \"a\":1}\n\n");
        assert_eq!(data_of(&with_data(&frame, b"[]")).unwrap(), "[]");
    }
}
