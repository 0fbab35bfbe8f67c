//! Another configuration, on an operator's word: checked, written, served.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value as Json;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::api::Problem;
use super::{Admin, Order, Served};
use crate::config::{self, Config};
use crate::jwt;

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
        &self,
        cause: String,
        edit: impl FnOnce(&Served, &mut Json) -> Result<(), Problem>,
    ) -> Result<Taken, Problem> {
        let _one = self.changing.lock().await;
        let served = self.served();
        let old = text(&served)?;
        let mut tree = config::tree(&old).map_err(|error| Problem::internal(error.to_string()))?;
        edit(&served, &mut tree)?;
        let new = config::rewrite(&old, &tree)
            .map_err(|why| Problem::new(StatusCode::CONFLICT, "file_form", why))?;
        self.install(&old, new, cause).await
    }

    /// Has the file say what it said in this version, and serves that.
    pub(super) async fn apply(&self, number: u64) -> Result<Taken, Problem> {
        let _one = self.changing.lock().await;
        let old = text(&self.served())?;
        let version = self.versions().get(number).cloned();
        let version = version.ok_or_else(|| Problem::no_version(number))?;
        self.install(&old, version.text.to_string(), format!("version {number} applied")).await
    }

    /// Serves what the file says now.
    pub(super) async fn reload(&self) -> Result<Taken, Problem> {
        let _one = self.changing.lock().await;
        let path = self.file()?;
        let config = spawn_blocking(move || {
            let text = read(&path)?;
            check(&text)
        });
        let config = config.await.map_err(|error| Problem::internal(error.to_string()))??;
        self.order(config, "reload".to_owned()).await
    }

    async fn install(&self, old: &str, new: String, cause: String) -> Result<Taken, Problem> {
        let (path, old) = (self.file()?, old.to_owned());
        let written = spawn_blocking(move || {
            let config = check(&new)?;
            // Somebody may be at work there.
            if read(&path)? != old {
                let message = "the file is not what is served: it was changed since, or is wrong; \
                               mend it, or restore it, first";
                return Err(Problem::new(StatusCode::CONFLICT, "file_changed", message));
            }
            replace(&path, &new).map_err(|error| {
                let message = format!("the configuration cannot be written: {error}");
                Problem::new(StatusCode::CONFLICT, "file_not_writable", message)
            })?;
            Ok(config)
        });
        let config = written.await.map_err(|error| Problem::internal(error.to_string()))??;
        self.order(config, cause).await
    }

    async fn order(&self, mut config: Box<Config>, cause: String) -> Result<Taken, Problem> {
        jwt::first(&mut config).await;
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
    config::read(path).map_err(|error| {
        let message = format!("the configuration cannot be read: {error}");
        Problem::new(StatusCode::CONFLICT, "file_not_readable", message)
    })
}

/// Writes another file beside this one, and gives it the name: whoever reads sees all of the one or of the
/// other. What a link leads to is replaced, and not the link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let mode = fs::metadata(&path)?.permissions();
    let write = || {
        // Nobody reads it before it has the rights of the old one.
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(PermissionsExt::from_mode(mode.mode()))?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().inspect_err(|_| {
        // If it is there at all, nobody wants it.
        let _ = fs::remove_file(&new);
    })
}
