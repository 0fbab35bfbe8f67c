//! Another configuration, on an operator's word: checked, written, served.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use jairouter_config::config::{self, Config};
use jairouter_config::served::Served;
use serde_json::Value as Json;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::api::Problem;
use super::{Admin, Order};

/// What has become of a change.
pub(crate) struct Taken {
    /// The version that is served now.
    pub(crate) version: u64,
    /// Keys that act only when the program starts again.
    pub(crate) restart: Vec<&'static str>,
}

impl Admin {
    /// Has the file say something else, and serves that.
    pub(super) async fn change(
        self: &Arc<Self>,
        cause: String,
        edit: impl FnOnce(&Served, &mut Json) -> Result<(), Problem> + Send + 'static,
    ) -> Result<Taken, Problem> {
        self.alone(async move |admin| {
            let served = admin.served();
            let old = text(&served)?;
            let before =
                config::tree(&old).map_err(|error| Problem::internal(error.to_string()))?;
            let mut tree = before.clone();
            edit(&served, &mut tree)?;
            of_the_environment(&before, &tree)?;
            let new = config::rewrite(&old, &tree)
                .map_err(|why| Problem::new(StatusCode::CONFLICT, "file_form", why))?;
            admin.install(&old, new, cause).await
        })
        .await
    }

    /// Has the file say what it said in this version, and serves that.
    pub(super) async fn apply(self: &Arc<Self>, number: u64) -> Result<Taken, Problem> {
        self.alone(async move |admin| {
            let old = text(&admin.served())?;
            let version = admin.versions().get(number).cloned();
            let version = version.ok_or_else(|| Problem::no_version(number))?;
            let cause = format!("version {number} applied");
            admin.install(&old, version.text.to_string(), cause).await
        })
        .await
    }

    /// Serves what the file says now.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<Taken, Problem> {
        self.alone(async move |admin| {
            let path = admin.file()?;
            let config = spawn_blocking(move || check(&read(&path)?));
            let config = config.await.map_err(|error| Problem::internal(error.to_string()))??;
            admin.order(config, "reload".to_owned()).await
        })
        .await
    }

    /// Does this to its end, whether or not whoever ordered it waits for that, and nothing else meanwhile.
    async fn alone<F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) -> Result<Taken, Problem>
    where
        F: Future<Output = Result<Taken, Problem>> + Send + 'static,
    {
        let admin = Arc::clone(self);
        let work = tokio::spawn(async move {
            let _one = admin.changing.lock().await;
            work(Arc::clone(&admin)).await
        });
        work.await.unwrap_or_else(|error| Err(Problem::internal(error.to_string())))
    }

    async fn install(&self, old: &str, new: String, cause: String) -> Result<Taken, Problem> {
        let (path, old) = (self.file()?, old.to_owned());
        let written = spawn_blocking(move || {
            let config = check(&new)?;
            // Somebody may be at work there.
            let unchanged = || match read(&path)? == old {
                true => Ok(()),
                false => {
                    let message = "the file is not what is served: it was changed since, or is \
                                   wrong; mend it, or restore it, first";
                    Err(Problem::new(StatusCode::CONFLICT, "file_changed", message))
                }
            };
            unchanged()?;
            replace(&path, &new, unchanged)?;
            Ok(config)
        });
        let config = written.await.map_err(|error| Problem::internal(error.to_string()))??;
        self.order(config, cause).await
    }

    async fn order(&self, mut config: Box<Config>, cause: String) -> Result<Taken, Problem> {
        config.ask_for_keys().await;
        let (done, taken) = oneshot::channel();
        let order = Order { config, cause, done };
        let stopping = || {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is about to end")
        };
        self.orders.send(order).await.map_err(|_| stopping())?;
        let restart = taken.await.map_err(|_| stopping())?.map_err(Problem::internal)?;
        Ok(Taken { version: self.versions().current(), restart })
    }

    fn file(&self) -> Result<PathBuf, Problem> {
        self.path.clone().ok_or_else(no_file)
    }
}

fn no_file() -> Problem {
    let message = "the program was given no configuration file, so there is none to change";
    Problem::new(StatusCode::CONFLICT, "no_file", message)
}

/// What the file says of which this is served.
pub(super) fn text(served: &Served) -> Result<Arc<str>, Problem> {
    served.config.text.as_ref().map(|text| Arc::clone(&text.0)).ok_or_else(no_file)
}

fn check(text: &str) -> Result<Box<Config>, Problem> {
    let env = |name: &str| std::env::var(name).ok();
    config::load(text, &env)
        .map(Box::new)
        .map_err(|errors| Problem::invalid(errors.iter().map(ToString::to_string).collect()))
}

fn read(path: &Path) -> Result<String, Problem> {
    let regular = match fs::metadata(path) {
        Ok(file) if !file.is_file() => Err(io::Error::other("it is no regular file")),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    regular.and_then(|()| config::read(path)).map_err(|error| {
        let message = format!("the configuration cannot be read: {error}");
        Problem::new(StatusCode::CONFLICT, "file_not_readable", message)
    })
}

/// What the file does not name of the environment, at a key of this name, cannot be asked for from outside: it would
/// be shown, as a key's would be in the name of a model, or sent to whoever is named beside it.
fn of_the_environment(before: &Json, after: &Json) -> Result<(), Problem> {
    match config::references(after).is_subset(&config::references(before)) {
        true => Ok(()),
        false => Err(Problem::bad(
            "a ${NAME} that the file does not hold at such a key can be put there by hand alone",
        )),
    }
}

/// Writes another file beside this one, and gives it the name if `ready` still says so: whoever reads sees all of the
/// one or of the other. What a link leads to is replaced, and not the link.
fn replace(
    path: &Path,
    text: &str,
    ready: impl FnOnce() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let refused = |error: io::Error| {
        let message = format!("the configuration cannot be written: {error}");
        Problem::new(StatusCode::CONFLICT, "file_not_writable", message)
    };
    let path = fs::canonicalize(path).map_err(refused)?;
    let (mut file, new) = beside(&path).map_err(refused)?;
    let mut write = || {
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.sync_all()
    };
    let written = write().map_err(refused).and_then(|()| ready());
    let written = written.and_then(|()| fs::rename(&new, &path).map_err(refused));
    if written.is_err() {
        // If it is there at all, nobody wants it.
        let _ = fs::remove_file(&new);
        return written;
    }
    // It has the name; a folder that cannot be read is none the worse for that.
    let _ = path.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
    Ok(())
}

/// A new file beside this one, which nobody else reads before it has the rights of the old one.
fn beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{number}.new", std::process::id()));
        let new = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new) {
            // Of a process that had the number and was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1 << 20 => {}
            opened => return opened.map(|file| (file, new)),
        }
    }
}
