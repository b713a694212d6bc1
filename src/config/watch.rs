//! Watches a configuration file and reads it again when it changes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{ConfigError, ConfigErrors};
use super::load::load;
use super::model::Config;

/// A file is read when nothing has happened for this long: editors write in several steps.
const QUIET: Duration = Duration::from_millis(250);
/// But at the latest after this long, in a folder that is never quiet.
const AT_LATEST: Duration = Duration::from_secs(3);
/// A look without a notification, for file systems that send none.
const POLL: Duration = Duration::from_secs(30);

/// Starts to watch; needs a tokio runtime. The receiver gets each new configuration, or the errors of a broken file
/// once; what means the same as before (first: as `current`, as loaded from the file, without what flags put over it) is
/// not sent. Dropping the receiver ends the watch.
///
/// The folder is watched, not the file: editors replace files, and Kubernetes moves a link.
pub fn watch(path: &Path, current: Config) -> Result<mpsc::Receiver<Result<Config, ConfigErrors>>, ConfigErrors> {
    // A full queue means that a look is due already.
    let (wake, woken) = mpsc::channel::<()>(1);
    let names = Names::of(path);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an access too: to wake for it would never end. Other files of the folder do not matter,
        // perhaps one of them is the log.
        let concerns = match event {
            Ok(event) => {
                !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| names.concern(path))
            }
            Err(_) => true,
        };
        if concerns {
            let _ = wake.try_send(());
        }
    })
    .map_err(|error| cannot(path, &error))?;
    for folder in folders(path) {
        watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(|error| cannot(path, &error))?;
    }
    let (changes, receiver) = mpsc::channel(1);
    let path = path.to_path_buf();
    tokio::spawn(follow(path, current, watcher, woken, changes));
    Ok(receiver)
}

/// The names under which the file may appear in its folders.
struct Names(Vec<OsString>);

impl Names {
    fn of(path: &Path) -> Self {
        let real = path.canonicalize().ok();
        let names = [Some(path), real.as_deref()].into_iter().flatten();
        Self(names.filter_map(|path| path.file_name().map(OsString::from)).collect())
    }

    fn concern(&self, path: &Path) -> bool {
        path.file_name().is_none_or(|name| {
            // Kubernetes moves links whose names begin with two dots.
            self.0.iter().any(|known| known == name) || name.to_string_lossy().starts_with("..")
        })
    }
}

/// The folder of the path, and the folder of the file that it finally leads to.
fn folders(path: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![parent(path)];
    if let (Ok(real), Ok(own)) = (path.canonicalize(), folders[0].canonicalize()) {
        let real = parent(&real);
        if real != own {
            folders.push(real);
        }
    }
    folders
}

async fn follow(
    path: PathBuf,
    current: Config,
    watcher: RecommendedWatcher,
    mut woken: mpsc::Receiver<()>,
    changes: mpsc::Sender<Result<Config, ConfigErrors>>,
) {
    let mut last = Ok(current);
    loop {
        // Room first, file second: what is sent is always the newest.
        let Ok(permit) = changes.reserve().await else { break };
        let file = path.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || load(&file)).await else { break };
        if read != last {
            last.clone_from(&read);
            permit.send(read);
        } else {
            drop(permit);
        }
        tokio::select! {
            () = changes.closed() => break,
            woken = timeout(POLL, woken.recv()) => if matches!(woken, Ok(None)) { break },
        }
        let latest = Instant::now() + AT_LATEST;
        while let Ok(Some(())) = timeout_at(latest.min(Instant::now() + QUIET), woken.recv()).await {}
    }
    drop(watcher);
}

fn cannot(path: &Path, error: &notify::Error) -> ConfigErrors {
    let mut config = ConfigError::general(format!("cannot be watched: {error}")).remedy("reload with SIGHUP instead");
    config.file = Some(path.display().to_string());
    config.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn text(name: &str) -> String {
        format!("gateways: [{{name: {name}, targets: [{{name: one, mcp: {{command: one}}}}]}}]\n")
    }

    async fn next(changes: &mut mpsc::Receiver<Result<Config, ConfigErrors>>) -> Result<String, ConfigErrors> {
        let change = timeout(LIMIT, changes.recv()).await.expect("a change in time").expect("a watch that goes on");
        change.map(|config| config.gateways[0].name.clone())
    }

    #[tokio::test]
    async fn writes_renames_and_errors_are_seen_and_touches_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text("a")).unwrap();
        let mut changes = watch(&file, load(&file).unwrap()).unwrap();

        std::fs::write(&file, text("b")).unwrap();
        assert_eq!(next(&mut changes).await.unwrap(), "b");

        // The same content, and a comment: nothing is sent, so the next thing that comes is the rename.
        std::fs::write(&file, format!("# a comment\n{}", text("b"))).unwrap();
        let other = folder.path().join(".gateway.yaml.swp");
        std::fs::write(&other, text("c")).unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert_eq!(next(&mut changes).await.unwrap(), "c");

        std::fs::write(&file, "gateways: [").unwrap();
        let errors = next(&mut changes).await.unwrap_err();
        assert!(errors.to_string().contains("not valid YAML"), "{errors}");

        std::fs::write(&file, text("d")).unwrap();
        assert_eq!(next(&mut changes).await.unwrap(), "d");
    }

    #[tokio::test]
    async fn a_change_before_the_watch_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text("a")).unwrap();
        let loaded = load(&file).unwrap();
        std::fs::write(&file, text("b")).unwrap();
        let mut changes = watch(&file, loaded).unwrap();
        assert_eq!(next(&mut changes).await.unwrap(), "b");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_moved_link_is_seen() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As Kubernetes mounts a ConfigMap: gateway.yaml -> ..data/gateway.yaml, ..data -> a folder by time.
        for (data, name) in [("..1", "a"), ("..2", "b")] {
            std::fs::create_dir(at(data)).unwrap();
            std::fs::write(at(data).join("gateway.yaml"), text(name)).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/gateway.yaml", at("gateway.yaml")).unwrap();
        let file = at("gateway.yaml");
        let mut changes = watch(&file, load(&file).unwrap()).unwrap();
        symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(next(&mut changes).await.unwrap(), "b");
    }
}
