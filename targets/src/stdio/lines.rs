//! Lines of a process, each bounded.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Duration, Instant};

/// Reads lines; what comes in one piece is not copied.
pub(super) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    /// So much of the buffer has no line break.
    searched: usize,
    limit: usize,
    overlong: Overlong,
    skipping: bool,
}

/// What happens to a line over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlong {
    /// Reading ends.
    Fail,
    /// Its start is a line; the rest is skipped.
    Cut,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("a line is longer than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// So many a second, and how many were left out.
pub(crate) struct Rate {
    per_second: u32,
    window: Instant,
    used: u32,
    left_out: u64,
}

const READ: usize = 16 * 1024;

// === impl Lines ===

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, limit: usize, overlong: Overlong) -> Self {
        Self { input, buffer: BytesMut::new(), searched: 0, limit, overlong, skipping: false }
    }

    /// The next line without its line break; `None` at the end. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, LineError> {
        loop {
            if let Some(line) = self.take()? {
                return Ok(Some(line));
            }
            self.buffer.reserve(READ);
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                let rest = self.buffer.split().freeze();
                self.searched = 0;
                return Ok(if rest.is_empty() || self.skipping { None } else { Some(rest) });
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, LineError> {
        loop {
            match memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                Some(at) => {
                    let mut line = self.buffer.split_to(self.searched + at).freeze();
                    self.buffer.advance(1);
                    self.searched = 0;
                    if std::mem::take(&mut self.skipping) {
                        continue;
                    }
                    if line.len() > self.limit {
                        if self.overlong == Overlong::Fail {
                            return Err(LineError::TooLong(self.limit));
                        }
                        line.truncate(self.limit);
                    }
                    if line.last() == Some(&b'\r') {
                        line.truncate(line.len() - 1);
                    }
                    return Ok(Some(line));
                }
                None if self.skipping => {
                    self.buffer.clear();
                    self.searched = 0;
                    return Ok(None);
                }
                None if self.buffer.len() > self.limit => {
                    if self.overlong == Overlong::Fail {
                        return Err(LineError::TooLong(self.limit));
                    }
                    self.skipping = true;
                    self.searched = 0;
                    let start = self.buffer.split_to(self.limit).freeze();
                    return Ok(Some(start));
                }
                None => {
                    self.searched = self.buffer.len();
                    return Ok(None);
                }
            }
        }
    }
}

// === impl Rate ===

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, window: Instant::now(), used: 0, left_out: 0 }
    }

    /// Whether one more is allowed now; if so, how many were left out since the last one.
    pub(crate) fn admit(&mut self) -> Option<u64> {
        if self.window.elapsed() >= Duration::from_secs(1) {
            self.window = Instant::now();
            self.used = 0;
        }
        if self.used >= self.per_second {
            self.left_out += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &[u8], limit: usize, overlong: Overlong) -> Result<Vec<String>, LineError> {
        let mut lines = Lines::new(input, limit, overlong);
        let mut out = Vec::new();
        while let Some(line) = lines.next().await? {
            out.push(String::from_utf8(line.to_vec()).unwrap());
        }
        Ok(out)
    }

    #[tokio::test]
    async fn lines_come_whole_and_overlong_ones_fail_or_are_cut() {
        let text = b"one\r\n\ntwo\nthree";
        assert_eq!(read(text, 10, Overlong::Fail).await.unwrap(), ["one", "", "two", "three"]);
        let long = [b"ok\n".as_slice(), &vec![b'x'; 100_000], b"\nend\n"].concat();
        assert!(matches!(read(&long, 10, Overlong::Fail).await, Err(LineError::TooLong(10))));
        assert_eq!(read(&long, 10, Overlong::Cut).await.unwrap(), ["ok", "xxxxxxxxxx", "end"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_counts_what_it_leaves_out() {
        let mut rate = Rate::new(2);
        assert_eq!([rate.admit(), rate.admit(), rate.admit(), rate.admit()], [Some(0), Some(0), None, None]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rate.admit(), Some(2));
    }
}
