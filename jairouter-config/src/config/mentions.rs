//! Models that a fallback names, which have to be served by somebody.

use std::collections::HashSet;

use super::reader::Field;

/// Where a model is named.
pub(super) struct Mention<'a> {
    pub(super) field: Field<'a>,
    /// The name, if it is a key, and not the value.
    pub(super) key: Option<&'a str>,
    /// Whether it may stand in for one that nobody has.
    pub(super) for_missing: bool,
}

/// Reports those that are none of these models, which are all that `whose` instances serve, and one
/// that could only stand in for itself; nothing if it is not known which those are.
pub(super) fn check(mentions: &[Mention<'_>], whose: &str, models: Option<&HashSet<&str>>) {
    let Some(models) = models else { return };
    let known = |name: &str| match models.contains(name) {
        true => Ok(()),
        false => Err(format!("no instance of {whose} has the name '{name}'")),
    };
    for Mention { field, key, for_missing } in mentions {
        match key {
            Some(name) => {
                if let Err(message) = known(name) {
                    field.error_at_key(message);
                }
            }
            None => {
                field.parse(|name| match known(name) {
                    Ok(()) if models.len() == 1 && !for_missing => {
                        Err(format!("'{name}' is the only model there is, and cannot stand in"))
                    }
                    known => known,
                });
            }
        }
    }
}
