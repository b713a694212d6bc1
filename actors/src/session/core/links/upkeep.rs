//! What open links are kept up with: levels, subscriptions, listening; and how lost ones come back.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use sessiongate_protocol::{RequestId, jsonrpc};
use sessiongate_storage::Timestamp;
use sessiongate_targets::Listening;

use super::super::requests::SILENCE;
use super::super::{CallId, Effect, Env, SessionCore, Step, object_with};
use super::{Phase, REOPEN};

// === impl SessionCore ===

impl SessionCore {
    /// Subscriptions need a downstream session: it is opened again after a while that grows with each loss.
    pub(super) fn reopen_later(&mut self, target: &Arc<str>, env: &Env<'_>) {
        let wanted = self.subscriptions.values().any(|owner| owner == target);
        let link = self.link(target);
        link.losses = link.losses.saturating_add(1);
        let wait = REOPEN.0.saturating_mul(1 << (link.losses - 1).min(6)).min(REOPEN.1);
        link.reopen = wanted.then(|| env.now.plus(wait));
    }

    pub(in super::super) fn reopen_links(&mut self, env: &Env<'_>, step: &mut Step) {
        let due: Vec<Arc<str>> = self
            .links
            .iter_mut()
            .filter(|(_, link)| link.reopen.is_some_and(|at| at <= env.now))
            .map(|(target, link)| {
                link.reopen = None;
                target.clone()
            })
            .collect();
        for target in due {
            let wanted = self.subscriptions.values().any(|owner| *owner == target);
            if wanted && matches!(self.link(&target).phase, Phase::Idle) {
                self.open_link(&target, Vec::new(), Vec::new(), step);
            }
        }
    }

    /// After a restart: what is subscribed is heard again, without waiting for a call.
    pub(in super::super) fn take_up_subscriptions(&mut self, step: &mut Step) {
        let owners: BTreeSet<Arc<str>> = self.subscriptions.values().cloned().collect();
        for target in owners {
            if matches!(self.link(&target).phase, Phase::Idle | Phase::Stored(_)) {
                self.open_link(&target, Vec::new(), Vec::new(), step);
            }
        }
    }

    /// The standing stream of a target is wanted while the client can hear it, has subscriptions there, or was sent to a
    /// page whose completion the target may announce.
    pub(in super::super) fn listen_where_wanted(&mut self, step: &mut Step) {
        let heard = self.streams.live_standing().is_some();
        if heard {
            // Stored ones are taken up: nothing is sent for it.
            let stored: Vec<Arc<str>> = self
                .links
                .iter()
                .filter(|(_, link)| matches!(link.phase, Phase::Stored(_)))
                .map(|(target, _)| target.clone())
                .collect();
            for target in stored {
                self.open_link(&target, Vec::new(), Vec::new(), step);
            }
        }
        // A modern client has no standing stream, but what a target says outside its answers may belong to a call: log
        // messages, or a question. Not switched off between calls.
        let for_calls = self.facts.conversation
            && (self.log_level.as_deref().is_some_and(|level| level != SILENCE)
                || self.calls.values().any(|call| call.log_level.is_some())
                || ["elicitation", "sampling", "roots"].into_iter().any(|kind| self.declares(kind)));
        for (target, link) in &mut self.links {
            let wanted = heard
                || for_calls
                || self.subscriptions.values().any(|owner| owner == target)
                || self.elicitation_ids.iter().any(|(_, owner)| owner == target);
            if link.is_open() && link.listening != wanted {
                link.listening = wanted;
                step.now.push(Effect::Listen {
                    target: target.clone(),
                    generation: link.generation,
                    listening: if wanted { Listening::On } else { Listening::Off },
                });
            }
        }
    }

    pub(in super::super) fn send_level_everywhere(&mut self, step: &mut Step) {
        let Some(level) = self.log_level.clone() else { return };
        let open: Vec<Arc<str>> = self
            .links
            .iter()
            .filter(|(_, link)| matches!(link.phase, Phase::Open { capabilities, .. } if capabilities.logging))
            .map(|(target, _)| target.clone())
            .collect();
        for target in open {
            self.send_level(&target, &level, step);
        }
    }

    /// A request of the gateway's own: its response is dropped by the link, nobody waits for it.
    pub(super) fn send_level(&mut self, target: &Arc<str>, level: &str, step: &mut Step) {
        let id = self.link(target).next_id();
        let params = object_with("level", &serde_json::to_string(level).unwrap_or_default());
        let body = jsonrpc::request(&RequestId::integer(id), "logging/setLevel", Some(&params));
        self.send_own(target, id, body, step);
    }

    /// Subscriptions belong to the downstream session: a new one needs them again.
    pub(super) fn resubscribe(&mut self, target: &Arc<str>, step: &mut Step) {
        let uris: Vec<Box<str>> =
            self.subscriptions.iter().filter(|(_, owner)| *owner == target).map(|(uri, _)| uri.clone()).collect();
        for uri in uris {
            let id = self.link(target).next_id();
            let params = object_with("uri", &serde_json::to_string(&uri).unwrap_or_default());
            let body = jsonrpc::request(&RequestId::integer(id), "resources/subscribe", Some(&params));
            self.send_own(target, id, body, step);
        }
    }

    fn send_own(&mut self, target: &Arc<str>, id: i64, body: Bytes, step: &mut Step) {
        let generation = self.link(target).generation;
        step.now.push(Effect::Call {
            target: target.clone(),
            generation,
            call: CallId(u64::MAX),
            id,
            body,
            deadline: Timestamp(0),
        });
    }
}
