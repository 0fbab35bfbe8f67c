//! A map of which keys are taken one by one. What is left in the end is unknown.

use std::collections::HashSet;

use super::names::{fold, unknown};
use super::node::{Node, Value};
use super::reader::{Field, Reader};

pub(super) struct Map<'a> {
    reader: &'a Reader<'a>,
    key: &'a Node,
    path: String,
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
    /// Whether a key that says nothing is an error, and not as if it were not there.
    strict: bool,
}

struct Entry<'a> {
    name: String,
    written: &'a str,
    key: &'a Node,
    value: &'a Node,
    taken: bool,
}

impl<'a> Map<'a> {
    /// The map of this field, unless it is none. The same key in two spellings is an error.
    pub(super) fn of(field: &Field<'a>) -> Option<Self> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        for (key, written, value) in pairs(field)? {
            let name = fold(written);
            if seen.insert(name.clone()) {
                entries.push(Entry { name, written, key, value, taken: false });
            } else {
                field.reader.error(key, &join(&field.path, written), "this key is given twice");
            }
        }
        let (reader, key, path) = (field.reader, field.key, field.path.clone());
        Some(Self { reader, key, path, entries, known: Vec::new(), strict: false })
    }

    /// The same where a key that says nothing could let somebody in: one whose value was taken out is not
    /// as if it had never been there.
    pub(super) fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The value of this key, unless it is not there or says nothing.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        if self.strict {
            self.refuse_blank(key, "this says nothing; leave it out, or say what is meant");
        }
        let field = self.foreign(key);
        #[cfg(test)]
        record(&self.path, key, field.is_some());
        field
    }

    /// The value of this key, if it is there, which is not taken by that.
    pub(super) fn peek(&self, key: &str) -> Option<Field<'a>> {
        let name = fold(key);
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        let path = join(&self.path, entry.written);
        Some(Field { reader: self.reader, node: entry.value, key: entry.key, path })
    }

    /// The value of a key that is understood and not recommended to those who misspell another.
    pub(super) fn foreign(&mut self, key: &str) -> Option<Field<'a>> {
        let name = fold(key);
        let entry = self.entries.iter_mut().find(|entry| entry.name == name)?;
        entry.taken = true;
        let path = join(&self.path, entry.written);
        let field = Field { reader: self.reader, node: entry.value, key: entry.key, path };
        (!entry.value.is_null()).then_some(field)
    }

    /// Reports this key if it is there and says nothing, where that could be taken for something.
    pub(super) fn refuse_blank(&self, key: &str, message: &str) -> bool {
        let name = fold(key);
        let blank = self.entries.iter().find(|entry| entry.name == name && entry.value.is_null());
        blank.inspect(|entry| {
            self.reader.error(entry.key, &join(&self.path, entry.written), message);
        });
        blank.is_some()
    }

    /// Says what the map as a whole lacks.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.reader.error(self.key, &self.path, message);
    }

    /// Reports every key that was not taken.
    pub(super) fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let path = join(&self.path, entry.written);
            self.reader.error(entry.key, &path, unknown("key", entry.written, &self.known));
        }
    }
}

/// Every entry of a map whose keys are names that somebody chose. Only case does not tell two
/// apart: `x-ab` and `xa-b` are two headers.
pub(super) fn named<'a>(field: &Field<'a>) -> Option<Vec<(&'a str, Field<'a>)>> {
    let mut seen = HashSet::new();
    let mut fields = Vec::new();
    for (key, written, node) in pairs(field)? {
        let field = Field { reader: field.reader, node, key, path: join(&field.path, written) };
        if seen.insert(written.to_lowercase()) {
            fields.push((written, field));
        } else {
            field.error_at_key("this name is given twice");
        }
    }
    Some(fields)
}

type Pair<'a> = (&'a Node, &'a str, &'a Node);

fn pairs<'a>(field: &Field<'a>) -> Option<impl Iterator<Item = Pair<'a>> + use<'a>> {
    let Value::Mapping(entries) = &field.node.value else {
        field.error("this must be a map of keys and values");
        return None;
    };
    Some(entries.iter().filter_map(|(key, value)| match &key.value {
        Value::Scalar { text, .. } => Some((key, text.as_str(), value)),
        _ => None,
    }))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A section, a key that was looked for in it, and whether it was there.
#[cfg(test)]
pub(super) type Asked = (String, &'static str, bool);

#[cfg(test)]
thread_local! {
    static ASKED: std::cell::RefCell<HashSet<Asked>> = std::cell::RefCell::default();
    static PATHS: std::cell::RefCell<HashSet<(String, &'static str)>> = std::cell::RefCell::default();
}

#[cfg(test)]
fn record(path: &str, key: &'static str, given: bool) {
    PATHS.with_borrow_mut(|paths| paths.insert((path.to_owned(), key)));
    let (above, section) = path.rsplit_once('.').unwrap_or(("", path));
    // What somebody chose the name of.
    let section = if above.ends_with("adapter-definitions") { "definition" } else { section };
    let general = section == "model" || section.contains('[') || path.ends_with("services.chat");
    // What may be given at three levels is documented once.
    let section = if general { "" } else { section };
    ASKED.with_borrow_mut(|asked| asked.insert((section.to_owned(), key, given)));
}

/// What was looked for in this thread since the last time.
#[cfg(test)]
pub(super) fn recorded() -> HashSet<Asked> {
    ASKED.take()
}

/// The same as whole paths and keys.
#[cfg(test)]
pub(crate) fn paths_asked() -> HashSet<(String, &'static str)> {
    PATHS.take()
}
