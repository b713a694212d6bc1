//! How much of a kind a principal has open at a gateway that no session bounds (2026-07-28): listening streams, each with a
//! connection, a session and subscriptions at the targets; requests that are passed through.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sessiongate_actors::SessionError;
use sessiongate_actors::directory::Principal;

/// What is open of one kind at all gateways.
pub struct Places {
    open: Mutex<HashMap<Holder, usize>>,
    each: usize,
    what: &'static str,
    bound: &'static str,
}

/// A gateway and a principal.
type Holder = (Arc<str>, Box<str>);

/// One place; free when it is dropped.
pub struct Place {
    places: Arc<Places>,
    holder: Holder,
}

// === impl Places ===

impl Places {
    /// For `subscriptions/listen`.
    pub fn listens() -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), each: 64, what: "open listens", bound: "listens" })
    }

    /// For requests to targets of the same era.
    pub fn passes() -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), each: 1024, what: "requests at once", bound: "passed_requests" })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When this principal has as many as it may: HTTP 429.
    pub fn enter(self: &Arc<Self>, gateway: &Arc<str>, principal: &Principal) -> Result<Place, SessionError> {
        let holder: Holder = (gateway.clone(), principal.as_str().into());
        let mut open = self.open.lock();
        let count = open.entry(holder.clone()).or_default();
        if *count >= self.each {
            metrics::counter!("sessiongate_bounds_reached_total", "bound" => self.bound).increment(1);
            return Err(SessionError::Bound { what: self.what, limit: self.each, remedy: "let one end first" });
        }
        *count += 1;
        Ok(Place { places: self.clone(), holder })
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock();
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
        let listens = Places::listens();
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let (ada, bob) = (Principal::named("test", "ada"), Principal::named("test", "bob"));
        let mut places: Vec<Place> = (0..64).map(|_| listens.enter(&a, &ada).unwrap()).collect();
        let refused = listens.enter(&a, &ada).err().unwrap();
        assert_eq!(refused.status(), 429);
        assert!(refused.to_string().contains("64"), "{refused}");
        let others = (listens.enter(&b, &ada).unwrap(), listens.enter(&a, &bob).unwrap());
        places.pop();
        places.push(listens.enter(&a, &ada).unwrap());
        drop((places, others));
        assert!(listens.open.lock().is_empty(), "nothing stays behind");
    }
}
