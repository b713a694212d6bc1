//! Waiting until a change is carried out.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::client::{ControlClient, Resource};
use super::error::ControlClientError;

/// Between the first two looks; each further pause is longer, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Where an object stands, read from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `status`.
    pub status: String,
    /// `statusReasons`.
    pub reasons: Vec<String>,
    /// Where a person allows the gateway to use the target, while that is waited for.
    pub authorization_url: Option<String>,
}

// === impl Standing ===

impl Standing {
    /// That of an object.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let reasons = object["statusReasons"].as_array().into_iter().flatten();
        Self {
            status: object["status"].as_str().unwrap_or_default().to_owned(),
            reasons: reasons.filter_map(Value::as_str).map(str::to_owned).collect(),
            authorization_url: object["authorizationData"]["oauth2"]["authorizationUrl"].as_str().map(str::to_owned),
        }
    }

    /// Whether what was asked for is done.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status == "READY"
    }
}

/// Whether nothing more comes without another request. A status that is not known counts as settled.
#[must_use]
pub fn is_settled(status: &str) -> bool {
    !matches!(status, "CREATING" | "UPDATING" | "DELETING" | "SYNCHRONIZING") && !status.ends_with("_PENDING_AUTH")
}

// === impl ControlClient ===

impl ControlClient {
    /// Waits until nothing more is done with an object, and returns it. `seen` hears of every look. A control plane that is
    /// away for a while, or busy, is asked again: what it has accepted it takes up when it is back.
    ///
    /// # Errors
    /// After `limit` [`ControlClientError::NotSettled`] or why it could not be asked, or what the control plane answers.
    pub async fn settled(
        &self,
        resource: &Resource,
        limit: Duration,
        mut seen: impl FnMut(&Value),
    ) -> Result<Value, ControlClientError> {
        let mut looks = Looks::new(limit);
        loop {
            let object = match self.get(resource).await {
                Err(error) if error.may_pass() => {
                    looks.again(error).await?;
                    continue;
                }
                answer => answer?,
            };
            seen(&object);
            let status = Standing::of(&object).status;
            if is_settled(&status) {
                return Ok(object);
            }
            looks.pause(&status).await?;
        }
    }

    /// Waits until there is no such object, as [`Self::settled`] waits. Returns it if it stays, because it could not be
    /// deleted.
    ///
    /// # Errors
    /// As [`Self::settled`].
    pub async fn gone(
        &self,
        resource: &Resource,
        limit: Duration,
        mut seen: impl FnMut(&Value),
    ) -> Result<Option<Value>, ControlClientError> {
        let mut looks = Looks::new(limit);
        loop {
            let object = match self.get(resource).await {
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) if error.may_pass() => {
                    looks.again(error).await?;
                    continue;
                }
                answer => answer?,
            };
            seen(&object);
            let status = Standing::of(&object).status;
            if is_settled(&status) {
                return Ok(Some(object));
            }
            looks.pause(&status).await?;
        }
    }
}

struct Looks {
    began: Instant,
    limit: Duration,
    pause: Duration,
}

// === impl Looks ===

impl Looks {
    fn new(limit: Duration) -> Self {
        Self { began: Instant::now(), limit, pause: FIRST }
    }

    async fn pause(&mut self, status: &str) -> Result<(), ControlClientError> {
        self.again(ControlClientError::NotSettled { status: status.to_owned(), after: self.limit }).await
    }

    /// A pause before the next look; with `why`, there is none.
    async fn again(&mut self, why: ControlClientError) -> Result<(), ControlClientError> {
        let left = self.limit.saturating_sub(self.began.elapsed());
        if left.is_zero() {
            return Err(why);
        }
        // The last look is at the end of the limit.
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 3 / 2).min(LONGEST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_that_go_on_are_known() {
        for more in ["CREATING", "UPDATING", "DELETING", "SYNCHRONIZING", "CREATE_PENDING_AUTH"] {
            assert!(!is_settled(more), "{more}");
        }
        for done in ["READY", "FAILED", "UPDATE_UNSUCCESSFUL", "SYNCHRONIZE_UNSUCCESSFUL"] {
            assert!(is_settled(done), "{done}");
        }
    }

    #[test]
    fn a_standing_is_read_from_an_answer() {
        let object = json!({"status": "CREATE_PENDING_AUTH", "statusReasons": ["a"],
            "authorizationData": {"oauth2": {"authorizationUrl": "https://a/"}}});
        let standing = Standing::of(&object);
        assert_eq!((standing.reasons.len(), standing.authorization_url.as_deref()), (1, Some("https://a/")));
        assert!(!standing.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_until_the_limit_and_not_longer() {
        let began = Instant::now();
        let mut looks = Looks::new(Duration::from_secs(10));
        let error = loop {
            if let Err(error) = looks.pause("CREATING").await {
                break error;
            }
        };
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        assert_eq!(error.to_string(), "it is still CREATING after 10s; what was asked for goes on");
    }
}
