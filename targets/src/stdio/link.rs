//! A process of one session's own as a [`Link`].

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use super::connection::Connection;
use crate::error::TargetError;
use crate::link::{CallReply, Link};
use crate::passed::Passed;

pub(super) struct StdioLink(pub(super) Connection);

#[async_trait]
impl Link for StdioLink {
    async fn call_with(
        &self,
        id: i64,
        body: Bytes,
        _passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<CallReply, TargetError> {
        self.0.call(id, body, deadline).await
    }

    async fn resume(&self, _id: i64, _last_event_id: &str, _deadline: Instant) -> Result<CallReply, TargetError> {
        Err(TargetError::OutcomeUnknown { detail: "the process of an earlier call is gone".into() })
    }

    async fn post_with(
        &self,
        body: Bytes,
        _passed: Option<&Arc<Passed>>,
        deadline: Instant,
    ) -> Result<(), TargetError> {
        self.0.post(body, deadline).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
