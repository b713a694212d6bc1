//! Bodies that are read before it is clear who sends them: a signature counts only with its body. All of them together
//! have so much memory and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sessiongate_actors::SessionError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpError;

/// Bytes of such bodies at once, in all listeners of the process together.
const BYTES: usize = 64_000_000;

/// What room there is for such bodies.
#[derive(Debug)]
pub struct Waiting {
    room: Arc<Semaphore>,
    size: AtomicUsize,
}

/// The room that one body takes, until this is dropped. It is taken as the bytes come: whoever only announces many takes
/// none.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

// === impl Waiting ===

impl Waiting {
    /// With room for at least one body of the largest size.
    pub fn new(body_limit: usize) -> Self {
        let size = BYTES.max(body_limit);
        Self { room: Arc::new(Semaphore::new(size)), size: AtomicUsize::new(size) }
    }

    /// Makes the room larger where a body may now be larger than all of it.
    pub fn fit(&self, body_limit: usize) {
        let before = self.size.fetch_max(body_limit, Ordering::Relaxed);
        self.room.add_permits(body_limit.saturating_sub(before));
    }

    /// Takes room for more of a body.
    ///
    /// # Errors
    /// HTTP 429 where there is none, to be tried again.
    pub fn take(&self, held: &mut Held, bytes: usize) -> Result<(), HttpError> {
        let permit = u32::try_from(bytes).ok().and_then(|bytes| self.room.clone().try_acquire_many_owned(bytes).ok());
        let Some(permit) = permit else {
            metrics::counter!("sessiongate_bounds_reached_total", "bound" => "unproven_bytes").increment(1);
            let error = SessionError::Bound {
                what: "bytes of requests whose signature is still to be checked",
                limit: self.size.load(Ordering::Relaxed),
                remedy: "try again in a second",
            };
            return Err(HttpError::session(error, None));
        };
        match &mut held.0 {
            Some(all) => all.merge(permit),
            None => held.0 = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[test]
    fn there_is_so_much_room_and_no_more() {
        let (waiting, mut first, mut second) = (Waiting::new(0), Held::default(), Held::default());
        waiting.take(&mut first, BYTES - 2).unwrap();
        waiting.take(&mut first, 1).unwrap();
        let refused = waiting.take(&mut second, 2).unwrap_err();
        assert_eq!((refused.status_code().as_u16(), refused.code()), (429, "bound_reached"));
        waiting.take(&mut second, 1).unwrap();
        drop(first);
        waiting.take(&mut second, BYTES - 1).unwrap();
    }

    #[test]
    fn a_body_of_the_largest_size_has_room() {
        let (waiting, mut held) = (Waiting::new(BYTES + 1), Held::default());
        waiting.take(&mut held, BYTES + 1).unwrap();
        waiting.fit(BYTES + 3);
        waiting.take(&mut held, 2).unwrap();
        waiting.fit(BYTES);
        assert!(waiting.take(&mut held, 1).is_err());
    }
}
