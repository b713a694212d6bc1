//! How many connections are open at once. Without a limit nothing is counted.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::dev::Extensions;
use actix_web::http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use sessiongate_actors::SessionError;

use super::HttpError;

/// Counts connections.
pub struct Connections {
    open: AtomicUsize,
    limit: usize,
}

/// One of them, for as long as it is open.
struct Connection {
    all: Arc<Connections>,
    /// There were as many as there may be when it came.
    over: bool,
}

// === impl Connections ===

impl Connections {
    /// With this limit.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), limit })
    }

    /// What is to be done with a new connection.
    pub fn on_connect(self: Arc<Self>) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
        move |_, data| {
            let over = self.open.fetch_add(1, Ordering::Relaxed) >= self.limit;
            data.insert(Connection { all: self.clone(), over });
        }
    }
}

// === impl Connection ===

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer to a request on a connection that is one too many: 429, and the connection ends.
pub fn refuse(request: &HttpRequest) -> Option<HttpResponse> {
    let connection = request.conn_data::<Connection>().filter(|connection| connection.over)?;
    metrics::counter!("sessiongate_bounds_reached_total", "bound" => "connections").increment(1);
    let limit = connection.all.limit;
    let error = SessionError::Bound { what: "connections", limit, remedy: "close one, or try again in a second" };
    let mut response = HttpError::session(error, None).error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    Some(response)
}
