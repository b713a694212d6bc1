//! Named places where a test kills the process. Only in debug builds, and only when asked by the environment.

/// Kills the process (SIGKILL) if `SESSIONGATE_CRASH_AT` says `NAME:N` and this is the N-th time that NAME is reached.
/// In release builds this is nothing.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::point(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Armed {
        name: String,
        left: AtomicU64,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub(super) fn point(name: &str) {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("SESSIONGATE_CRASH_AT").ok()?;
            let (name, count) = text.rsplit_once(':')?;
            Some(Armed { name: name.to_owned(), left: AtomicU64::new(count.parse().ok()?) })
        });
        if let Some(armed) = armed
            && armed.name == name
            && armed.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
            loop {
                std::thread::park();
            }
        }
    }
}
