//! A downstream session in the actor's hands: the link, and what is posted on it, in order.

use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use bytes::Bytes;
use sessiongate_targets::{Link, Passed, TargetError};
use tokio::sync::mpsc;

use super::core::{Generation, Input};
use super::event::Event;
use crate::{clock, crash};

/// Longest wait for a target to accept a notification or an answer.
const POST_DEADLINE: Duration = Duration::from_secs(30);
/// Posts that may wait behind one that the target is slow to accept, besides the answers and cancellations that the bounds
/// of its session allow: those are never turned away, also when all calls of a conversation end at once.
const QUEUE: usize = 128;

/// An open link.
pub(super) struct OpenLink {
    pub(super) target: Arc<str>,
    pub(super) generation: Generation,
    pub(super) link: Arc<dyn Link>,
    /// Most sessions only call tools: the queue is made when it is needed.
    posts: Option<mpsc::Sender<Post>>,
    room: usize,
}

/// A notification or an answer.
pub(super) struct Post {
    pub(super) body: Bytes,
    /// The question that it answers.
    pub(super) question: Option<u64>,
    /// What goes along beside it.
    pub(super) passed: Option<Arc<Passed>>,
}

// === impl OpenLink ===

impl OpenLink {
    /// `expected` is how many answers and cancellations may be under way at once.
    pub(super) fn new(target: Arc<str>, generation: Generation, link: Arc<dyn Link>, expected: usize) -> Self {
        Self { target, generation, link, posts: None, room: QUEUE.saturating_add(expected) }
    }

    /// Sends a notification or an answer after those before it; a question's outcome is reported.
    pub(super) fn post(&mut self, post: Post, addr: &Recipient<Event>) {
        let (link, room) = (&self.link, self.room);
        let posts = self.posts.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(room);
            actix_rt::spawn(send_in_order(link.clone(), receiver, addr.clone()));
            sender
        });
        if let Err(refused) = posts.try_send(post) {
            metrics::counter!("sessiongate_bounds_reached_total", "bound" => "posts_to_target").increment(1);
            tracing::warn!(target_name = &*self.target, "too many messages wait for a target; one was not sent");
            // A full queue is a moment's trouble; a closed one is the link's end.
            let (post, error) = match refused {
                mpsc::error::TrySendError::Full(post) => {
                    (post, TargetError::Exhausted { what: "messages to the target", limit: room })
                }
                mpsc::error::TrySendError::Closed(post) => (post, TargetError::Closed),
            };
            if let Some(question) = post.question {
                report(addr.clone(), question, Err(error));
            }
        }
    }
}

/// Reports what came of an answer.
pub(super) fn report(addr: Recipient<Event>, question: u64, result: Result<(), TargetError>) {
    actix_rt::spawn(async move {
        let _ = addr.send(Event::Input(Input::AnswerPosted { question, result })).await;
    });
}

async fn send_in_order(link: Arc<dyn Link>, mut posts: mpsc::Receiver<Post>, addr: Recipient<Event>) {
    while let Some(Post { body, question, passed }) = posts.recv().await {
        let deadline = clock::std_instant(clock::now().plus(POST_DEADLINE));
        let result = link.post_with(body, passed.as_ref(), deadline).await;
        match question {
            Some(question) => {
                crash::point("answer:posted");
                let _ = addr.send(Event::Input(Input::AnswerPosted { question, result })).await;
            }
            None => {
                if let Err(error) = result {
                    tracing::debug!(error = error.code(), detail = ?error, "a notification did not reach its target");
                }
            }
        }
    }
}
