//! What comes before a call of the gateway's own tool that finds tools: its rate, and the index, which is built where
//! nothing else waits for it.

use std::time::Duration;

use actix_web::web;
use sessiongate_actors::SessionError;
use sessiongate_actors::catalogue::search;
use sessiongate_protocol::{Request, RequestId};
use tokio::time::timeout;

use super::HttpError;
use super::caller::Caller;

/// For the index of a very large catalogue on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prepares for those of the requests that search; any number of others is as good as none.
///
/// # Errors
/// Over the rate: HTTP 429. With `id`, where there is one.
pub async fn prepare(
    caller: &Caller<'_>,
    requests: impl Iterator<Item = &Request>,
    id: Option<&RequestId>,
) -> Result<(), HttpError> {
    let Some(rate) = &caller.gateway.searches else { return Ok(()) };
    let searches = requests
        .filter(|request| &*request.method == "tools/call" && search::is_named_by(request.params.as_ref()))
        .count();
    if searches == 0 {
        return Ok(());
    }
    if let Some(rate) = rate.as_deref() {
        rate.admit(searches).map_err(|error| HttpError::over_rate(error, id))?;
    }
    let catalogue = arc_swap::Guard::into_inner(caller.gateway.gateway.catalogue());
    if catalogue.wants_index() {
        // Others that search meanwhile wait for the same index.
        let built = timeout(
            PATIENCE,
            web::block(move || {
                catalogue.index();
            }),
        );
        if !matches!(built.await, Ok(Ok(()))) {
            return Err(HttpError::session(SessionError::Overloaded, id));
        }
    }
    Ok(())
}
