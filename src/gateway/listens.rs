//! How many `subscriptions/listen` streams (2026-07-28) are open: each holds a connection, a session and, at the targets,
//! subscriptions.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sessiongate_actors::SessionError;
use sessiongate_actors::directory::Principal;

/// Streams that a principal may have open at a gateway.
const EACH: usize = 64;

/// The open streams of all gateways.
#[derive(Default)]
pub struct Listens(Mutex<HashMap<Holder, usize>>);

/// A gateway and a principal.
type Holder = (Arc<str>, Box<str>);

/// The place of one stream; free when it is dropped.
pub struct Place {
    listens: Arc<Listens>,
    holder: Holder,
}

// === impl Listens ===

impl Listens {
    /// Takes a place.
    ///
    /// # Errors
    /// When this principal has as many as it may: HTTP 429.
    pub fn enter(self: &Arc<Self>, gateway: &Arc<str>, principal: &Principal) -> Result<Place, SessionError> {
        let holder: Holder = (gateway.clone(), principal.as_str().into());
        let mut open = self.0.lock();
        let count = open.entry(holder.clone()).or_default();
        if *count >= EACH {
            metrics::counter!("sessiongate_bounds_reached_total", "bound" => "listens").increment(1);
            return Err(SessionError::Bound { what: "open listens", limit: EACH, remedy: "close one first" });
        }
        *count += 1;
        Ok(Place { listens: self.clone(), holder })
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.listens.0.lock();
        if let Some(count) = open.get_mut(&self.holder) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_for_each_gateway_and_principal_and_come_back() {
        let listens = Arc::new(Listens::default());
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let (ada, bob) = (Principal::named("test", "ada"), Principal::named("test", "bob"));
        let mut places: Vec<Place> = (0..EACH).map(|_| listens.enter(&a, &ada).unwrap()).collect();
        let refused = listens.enter(&a, &ada).err().unwrap();
        assert_eq!(refused.status(), 429);
        assert!(refused.to_string().contains("64"), "{refused}");
        let others = (listens.enter(&b, &ada).unwrap(), listens.enter(&a, &bob).unwrap());
        places.pop();
        places.push(listens.enter(&a, &ada).unwrap());
        drop((places, others));
        assert!(listens.0.lock().is_empty(), "nothing stays behind");
    }
}
