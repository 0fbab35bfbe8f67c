//! The configurations that were served: what they said, how they differ, and back to one of them.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use jairouter_config::config;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{Answer, Problem, Refusals, RouterResponse, answer};
use super::ask::Named;
use super::services::Changed;
use crate::admin::Admin;

/// A configuration that was served.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionInfo {
    version: u64,
    /// Whether it is the one that is served.
    current: bool,
    /// Why it was taken.
    operation: String,
    /// Since when, in RFC 3339.
    timestamp: String,
}

/// How two of them differ.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Difference {
    source_version: u64,
    target_version: u64,
    total_changes: usize,
    changes: Vec<Change>,
}

/// One place where they do.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Change {
    /// The keys that lead there, as in `model.services.chat.instances[0].weight`.
    path: String,
    kind: ChangeKind,
    /// What it was, with `***` for secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    /// What it is, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChangeKind {
    Added,
    Removed,
    Changed,
}

/// The numbers of those that are kept, oldest first.
#[utoipa::path(get, path = "/api/config/version", tag = "versions",
    responses((status = 200, body = RouterResponse<Vec<u64>>), Refusals))]
pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Answer<Vec<u64>> {
    let numbers = admin.versions().iter().map(|version| version.number).collect();
    answer(numbers, "the versions that are kept")
}

/// The number of the one that is served; 0 if nobody wrote one.
#[utoipa::path(get, path = "/api/config/version/current", tag = "versions",
    responses((status = 200, body = RouterResponse<u64>), Refusals))]
pub(super) async fn current(State(admin): State<Arc<Admin>>) -> Answer<u64> {
    let current = admin.versions().current();
    answer(current, "the version that is served")
}

/// When and why each of them was taken, the newest first.
#[utoipa::path(get, path = "/api/config/version/info", tag = "versions",
    responses((status = 200, body = RouterResponse<Vec<VersionInfo>>), Refusals))]
pub(super) async fn info(State(admin): State<Arc<Admin>>) -> Answer<Vec<VersionInfo>> {
    let versions = admin.versions();
    let info = versions.iter().rev().map(|version| VersionInfo {
        version: version.number,
        current: version.number == versions.current(),
        operation: version.cause.clone(),
        timestamp: version.at.to_string(),
    });
    answer(info.collect(), "the versions that are kept")
}

/// What one of them said.
#[utoipa::path(get, path = "/api/config/version/{version}", tag = "versions",
    params(("version" = u64, Path)),
    responses((status = 200, body = RouterResponse<Value>), Refusals))]
pub(super) async fn get(
    State(admin): State<Arc<Admin>>,
    Named(version): Named<u64>,
) -> Answer<Value> {
    answer(config::masked(tree(&admin, version)?), format!("version {version}"))
}

/// Forgets one that is not served.
#[utoipa::path(delete, path = "/api/config/version/{version}", tag = "versions",
    params(("version" = u64, Path)),
    responses((status = 200, body = RouterResponse<u64>), Refusals))]
pub(super) async fn forget(
    State(admin): State<Arc<Admin>>,
    Named(version): Named<u64>,
) -> Answer<u64> {
    let mut versions = admin.versions();
    if version == versions.current() {
        let message = "the version that is served cannot be forgotten";
        return Err(Problem::new(StatusCode::CONFLICT, "current_version", message));
    }
    match versions.forget(version) {
        true => answer(version, format!("version {version} is forgotten")),
        false => Err(Problem::no_version(version)),
    }
}

/// How two of them differ.
#[utoipa::path(get, path = "/api/config/version/compare/{source}/{target}", tag = "versions",
    params(("source" = u64, Path), ("target" = u64, Path)),
    responses((status = 200, body = RouterResponse<Difference>), Refusals))]
pub(super) async fn compare(
    State(admin): State<Arc<Admin>>,
    Named((source, target)): Named<(u64, u64)>,
) -> Answer<Difference> {
    let (old, new) = (tree(&admin, source)?, tree(&admin, target)?);
    let shown = (config::masked(old.clone()), config::masked(new.clone()));
    let mut changes = Vec::new();
    differ("", Some((&old, &shown.0)), Some((&new, &shown.1)), &mut changes);
    let total_changes = changes.len();
    let difference =
        Difference { source_version: source, target_version: target, total_changes, changes };
    answer(difference, format!("{total_changes} changes from version {source} to {target}"))
}

/// Writes one of them into the file again, and serves it. It is a new version then.
#[utoipa::path(post, path = "/api/config/version/apply/{version}", tag = "versions",
    params(("version" = u64, Path)),
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn apply(
    State(admin): State<Arc<Admin>>,
    Named(version): Named<u64>,
) -> Answer<Changed> {
    answer(admin.apply(version).await?.into(), format!("version {version} is served"))
}

/// Back to the one before the one that is served.
#[utoipa::path(post, path = "/api/config/version/rollback", tag = "versions",
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn rollback(State(admin): State<Arc<Admin>>) -> Answer<Changed> {
    let before = {
        let versions = admin.versions();
        let mut older = versions.iter().rev().filter(|one| one.number < versions.current());
        older.next().map(|version| version.number)
    };
    let before = before.ok_or_else(|| Problem::unknown("no version is kept before this one"))?;
    apply(State(admin), Named(before)).await
}

/// Reads the file now, and serves what it says.
#[utoipa::path(post, path = "/api/config/reload", tag = "versions",
    responses((status = 200, body = RouterResponse<Changed>), Refusals))]
pub(super) async fn reload(State(admin): State<Arc<Admin>>) -> Answer<Changed> {
    answer(admin.reload().await?.into(), "what the file says is served")
}

fn tree(admin: &Admin, number: u64) -> Result<Value, Problem> {
    let text = admin.versions().get(number).map(|version| Arc::clone(&version.text));
    let text = text.ok_or_else(|| Problem::no_version(number))?;
    config::tree(&text).map_err(|error| Problem::internal(error.to_string()))
}

/// A part of a configuration, and how it is shown.
type Part<'a> = Option<(&'a Value, &'a Value)>;

/// Notes every place in which they differ, secrets among them, and nothing of a secret.
fn differ(path: &str, old: Part<'_>, new: Part<'_>, changes: &mut Vec<Change>) {
    let change = |kind| Change {
        path: path.to_owned(),
        kind,
        from: old.map(|(_, shown)| shown.clone()),
        to: new.map(|(_, shown)| shown.clone()),
    };
    let ((old, old_shown), (new, new_shown)) = match (old, new) {
        (Some(old), Some(new)) if old.0 == new.0 => return,
        (Some(old), Some(new)) => (old, new),
        (None, None) => return,
        (None, _) => return changes.push(change(ChangeKind::Added)),
        (_, None) => return changes.push(change(ChangeKind::Removed)),
    };
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let part = |of: &'_ Value, shown: &'_ Value| {
                    Some((of.get(key)?.clone(), shown.get(key)?.clone()))
                };
                let (a, b) = (part(old, old_shown), part(new, new_shown));
                let a = a.as_ref().map(|(of, shown)| (of, shown));
                differ(&path, a, b.as_ref().map(|(of, shown)| (of, shown)), changes);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for nth in 0..a.len().max(b.len()) {
                let path = format!("{path}[{nth}]");
                let a = a.get(nth).zip(old_shown.get(nth));
                differ(&path, a, b.get(nth).zip(new_shown.get(nth)), changes);
            }
        }
        _ => changes.push(change(ChangeKind::Changed)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_told_and_no_secret() {
        let old = json!({"a": [1, {"api-key": "k1"}], "b": 1, "headers": {"x": "s1"}});
        let new = json!({"a": [1, {"api-key": "k2"}, 3], "c": 2, "headers": {"x": "s1"}});
        let shown = (config::masked(old.clone()), config::masked(new.clone()));
        let mut changes = Vec::new();
        differ("", Some((&old, &shown.0)), Some((&new, &shown.1)), &mut changes);
        let told: Vec<_> = changes.iter().map(|one| (&*one.path, one.kind)).collect();
        let expected = [
            ("a[1].api-key", ChangeKind::Changed),
            ("a[2]", ChangeKind::Added),
            ("b", ChangeKind::Removed),
            ("c", ChangeKind::Added),
        ];
        assert_eq!(told, expected);
        assert_eq!((&changes[0].from, &changes[0].to), (&Some(json!("***")), &Some(json!("***"))));
    }
}
