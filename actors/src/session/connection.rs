//! The reading end of a stream.

use bytes::Bytes;
use sessiongate_protocol::StreamId;
use tokio::sync::mpsc;

use super::core::ConnId;

/// Frames on their way to one connection. More are not kept in memory: a slower reader is let go, and reads the rest
/// from the log.
pub const CONNECTION_QUEUE: usize = 64;

/// What a connection is shown.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// An encoded event.
    Frame {
        /// Its place in the stream.
        seq: u64,
        /// The bytes to write.
        frame: Bytes,
    },
    /// The stream is complete.
    End,
    /// The stream goes on, the connection does not: tell the client to come back.
    Close,
}

/// A connection that was given its stream: first what the log holds in `(after, through]`, then what comes.
///
/// When `live` ends without [`StreamItem::End`] or [`StreamItem::Close`], the reader was too slow: it attaches again
/// after the last event that it has.
#[derive(Debug)]
pub struct Attachment {
    /// The connection's number.
    pub conn: ConnId,
    /// The stream.
    pub stream: StreamId,
    /// The last event that the reader has.
    pub after: u64,
    /// The last event that is in the log; later ones come live.
    pub through: u64,
    /// What is appended from now on; none if nothing will be.
    pub live: Option<mpsc::Receiver<StreamItem>>,
}
