//! What clients have open when gateways change.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Runtime, Served};

// === impl Runtime ===

impl Runtime {
    /// Tells it of a change by which requests are checked already: whoever comes back is checked by it. `before` is what was
    /// served until now.
    pub(super) async fn tell_what_is_open(&self, before: &HashMap<&str, &Arc<Served>>) {
        let table = self.table.load_full();
        for served in table.iter() {
            served.admission.set_access(&served.access);
            let name = &*served.gateway.name;
            let Some(last) = before.get(name) else { continue };
            if last.streaming != served.streaming {
                self.directory.settings_changed(name);
            }
            if last.versions != served.versions {
                self.directory.end_unserved(name, |revision| served.versions.all().contains(&revision)).await;
            }
        }
    }
}
