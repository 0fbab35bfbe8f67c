//! Taking values from the tree, collecting what is wrong on the way.

use std::cell::RefCell;
use std::path::Path;

use super::env::substitute;
use super::map::{self, Map};
use super::names::{fold, unknown};
use super::node::{Node, Value};
use super::{Diagnostic, Inactive, ReadFile};

/// The most errors kept: nobody reads more, and a file can hold a hundred thousand.
const MOST_ERRORS: usize = 1000;

/// The longest message, in characters. A longer one repeats a value that is left out.
const LONGEST_MESSAGE: usize = 600;

/// Where errors go, and where `${…}` comes from.
pub(super) struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    errors: RefCell<Vec<Diagnostic>>,
    inactive: RefCell<Vec<Inactive>>,
    files: RefCell<Vec<ReadFile>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let (errors, inactive, files) = Default::default();
        Self { env, errors, inactive, files }
    }

    pub(super) fn root(&'a self, node: &'a Node) -> Field<'a> {
        Field { reader: self, node, key: node, path: String::new() }
    }

    /// Notes that this file is about to be read.
    pub(super) fn reads(&self, path: &Path) {
        self.files.borrow_mut().push(ReadFile::new(path));
    }

    /// What was wrong and what does not act, each in the order of its lines, and the files that were read.
    pub(super) fn done(self) -> (Vec<Diagnostic>, Vec<Inactive>, Vec<ReadFile>) {
        let (mut errors, mut inactive) = (self.errors.into_inner(), self.inactive.into_inner());
        errors.sort_by_key(|error| (error.line, error.column));
        if let Some(last) = errors.get(MOST_ERRORS - 1).cloned() {
            let message = format!("these {MOST_ERRORS} errors are not all: there may be more");
            errors.push(Diagnostic { path: String::new(), message, ..last });
        }
        inactive.sort_by_key(|section| section.line);
        (errors, inactive, self.files.into_inner())
    }

    pub(super) fn error(&self, node: &Node, path: &str, message: impl Into<String>) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MOST_ERRORS {
            errors.push(Diagnostic {
                line: node.line,
                column: node.column,
                path: printable(path),
                message: shortened(&printable(&message.into())),
            });
        }
    }
}

/// On one line, and without what a terminal would obey.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn shortened(message: &str) -> String {
    let count = message.chars().count();
    if count <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    let half = LONGEST_MESSAGE / 2;
    let (begin, end) = (message.chars().take(half), message.chars().skip(count - half));
    begin.chain(" … ".chars()).chain(end).collect()
}

/// A value, and the way to it.
pub(super) struct Field<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) node: &'a Node,
    /// Its key, or itself in a list: where people look for what a whole section lacks.
    pub(super) key: &'a Node,
    pub(super) path: String,
}

impl<'a> Field<'a> {
    /// Says what is wrong with the value. One that says nothing has no place but its key's.
    pub(super) fn error(&self, message: impl Into<String>) {
        let node = if self.is_null() { self.key } else { self.node };
        self.reader.error(node, &self.path, message);
    }

    /// Says what is wrong with the key, or with the section as a whole.
    pub(super) fn error_at_key(&self, message: impl Into<String>) {
        self.reader.error(self.key, &self.path, message);
    }

    /// Notes that this section does not act yet: once for each thing that does not happen.
    pub(super) fn inactive(&self, what: &'static str) {
        let mut inactive = self.reader.inactive.borrow_mut();
        if !inactive.iter().any(|noted| noted.what == what) {
            let path = printable(&self.path);
            inactive.push(Inactive { path, line: self.key.line, what });
        }
    }

    /// Whether it says nothing: a key without a value.
    pub(super) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// The value that `parse` makes of the text, with the environment put in. A message repeats the
    /// text only between `'` and `'`, where what came from the environment is taken out again.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Value::Scalar { text: written, .. } = &self.node.value else {
            self.error("this must be a single value");
            return None;
        };
        let parsed = substitute(written, self.reader.env).and_then(|text| {
            let text = text.trim();
            parse(text).map_err(|message| match written.contains("${") {
                true => message.replace(&format!("'{text}'"), &format!("'{written}'")),
                false => message,
            })
        });
        parsed.map_err(|message| self.error(message)).ok()
    }

    /// One of these, by its name; case, `-` and `_` do not count.
    pub(super) fn one_of<T: Copy>(&self, what: &str, choices: &[(&str, T)]) -> Option<T> {
        self.parse(|text| {
            let folded = fold(text);
            let found = choices.iter().find(|(name, _)| fold(name) == folded);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                unknown(what, text, &names)
            })
        })
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    /// A map of keys that are known here.
    pub(super) fn map(&self) -> Option<Map<'a>> {
        Map::of(self)
    }

    /// A map of names that somebody chose.
    pub(super) fn named(&self) -> Option<Vec<(&'a str, Field<'a>)>> {
        map::named(self)
    }

    pub(super) fn list(&self) -> Option<Vec<Field<'a>>> {
        let Value::Sequence(nodes) = &self.node.value else {
            self.error("this must be a list, with a '-' before each item");
            return None;
        };
        let field = |(index, node)| Field {
            reader: self.reader,
            node,
            key: node,
            path: format!("{}[{index}]", self.path),
        };
        Some(nodes.iter().enumerate().map(field).collect())
    }
}
