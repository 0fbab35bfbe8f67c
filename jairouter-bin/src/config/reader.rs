//! Taking values from the tree, collecting what is wrong on the way.

use std::cell::RefCell;

use super::node::{Node, Value};
use super::{Diagnostic, Inactive};

/// The longest name that a misspelling is looked for.
const LONGEST_KEY: usize = 64;

/// Where errors go, and where `${…}` comes from.
pub(super) struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    errors: RefCell<Vec<Diagnostic>>,
    inactive: RefCell<Vec<Inactive>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { env, errors: RefCell::default(), inactive: RefCell::default() }
    }

    pub(super) fn root(&'a self, node: &'a Node) -> Field<'a> {
        Field { reader: self, node, key: node, path: String::new() }
    }

    pub(super) fn done(self) -> (Vec<Diagnostic>, Vec<Inactive>) {
        (self.errors.into_inner(), self.inactive.into_inner())
    }

    fn error(&self, node: &Node, path: &str, message: impl Into<String>) {
        self.errors.borrow_mut().push(Diagnostic {
            line: node.line,
            column: node.column,
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

/// A value, and the way to it.
pub(super) struct Field<'a> {
    reader: &'a Reader<'a>,
    node: &'a Node,
    /// Its key, or itself in a list: where people look for what a whole section lacks.
    key: &'a Node,
    path: String,
}

impl<'a> Field<'a> {
    pub(super) fn error(&self, message: impl Into<String>) {
        self.reader.error(self.node, &self.path, message);
    }

    /// Notes that this section does not act yet: once for each thing that does not happen.
    pub(super) fn inactive(&self, what: &'static str) {
        let mut inactive = self.reader.inactive.borrow_mut();
        if !inactive.iter().any(|noted| noted.what == what) {
            inactive.push(Inactive { path: self.path.clone(), line: self.key.line, what });
        }
    }

    /// The text of a scalar, with the environment put in.
    pub(super) fn text(&self) -> Option<String> {
        let Value::Scalar { text, .. } = &self.node.value else {
            self.error("this must be a single value");
            return None;
        };
        match substitute(text, self.reader.env) {
            Ok(text) => Some(text),
            Err(message) => {
                self.error(message);
                None
            }
        }
    }

    /// The value that `parse` makes of the text.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.text()?.trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(message);
                None
            }
        }
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

    pub(super) fn map(&self) -> Option<Map<'a>> {
        let Value::Mapping(entries) = &self.node.value else {
            self.error("this must be a map of keys and values");
            return None;
        };
        let mut map = Map {
            reader: self.reader,
            key: self.key,
            path: self.path.clone(),
            entries: Vec::new(),
            known: Vec::new(),
        };
        for (key, value) in entries {
            let Value::Scalar { text, .. } = &key.value else { continue };
            let name = fold(text);
            let path = join(&self.path, text);
            if map.entries.iter().any(|entry| entry.name == name) {
                self.reader.error(key, &path, "this key is given twice");
            } else {
                map.entries.push(Entry { name, written: text, key, value, taken: false });
            }
        }
        Some(map)
    }

    pub(super) fn list(&self) -> Vec<Field<'a>> {
        let Value::Sequence(nodes) = &self.node.value else {
            self.error("this must be a list, with a '-' before each item");
            return Vec::new();
        };
        let field = |(index, node)| Field {
            reader: self.reader,
            node,
            key: node,
            path: format!("{}[{index}]", self.path),
        };
        nodes.iter().enumerate().map(field).collect()
    }
}

/// A map, of which keys are taken one by one. What is left in the end is unknown.
pub(super) struct Map<'a> {
    reader: &'a Reader<'a>,
    key: &'a Node,
    path: String,
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
}

struct Entry<'a> {
    name: String,
    written: &'a str,
    key: &'a Node,
    value: &'a Node,
    taken: bool,
}

impl<'a> Map<'a> {
    /// The value of this key, unless it is not there or says nothing.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let name = fold(key);
        let entry = self.entries.iter_mut().find(|entry| entry.name == name)?;
        entry.taken = true;
        let path = join(&self.path, entry.written);
        (!entry.value.is_null()).then(|| Field {
            reader: self.reader,
            node: entry.value,
            key: entry.key,
            path,
        })
    }

    /// Takes a key whose value is nobody's concern here.
    pub(super) fn ignore(&mut self, key: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == key) {
            entry.taken = true;
        }
    }

    /// Every entry, for maps whose keys are names.
    pub(super) fn all(&mut self) -> Vec<(&'a str, Field<'a>)> {
        let (reader, path) = (self.reader, &self.path);
        let field = |entry: &mut Entry<'a>| {
            entry.taken = true;
            let path = join(path, entry.written);
            (entry.written, Field { reader, node: entry.value, key: entry.key, path })
        };
        self.entries.iter_mut().map(field).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

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

/// A message about a name nobody knows, with the one that was probably meant.
pub(super) fn unknown(what: &str, written: &str, known: &[&str]) -> String {
    let folded = fold(written);
    let near = known
        .iter()
        .map(|name| (distance(&folded, &fold(name)), name))
        .min()
        .filter(|(distance, _)| *distance <= 1 + folded.len() / 4);
    match near {
        Some((_, name)) => format!("no {what} is called '{written}'; did you mean '{name}'?"),
        None => format!("no {what} is called '{written}'; there are: {}", known.join(", ")),
    }
}

/// A name without what people write differently.
pub(super) fn fold(name: &str) -> String {
    let counts = |c: &char| !matches!(c, '-' | '_' | ' ');
    name.chars().filter(counts).flat_map(char::to_lowercase).collect()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// How many letters must change to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(LONGEST_KEY).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(LONGEST_KEY).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Puts `${NAME}` and `${NAME:default}` into a text. What comes in is not looked at again.
fn substitute(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, behind) = (&rest[..start], &rest[start + 2..]);
        let end = behind.find('}').ok_or("a '${' has no '}'")?;
        let (name, default) = match behind[..end].split_once(':') {
            Some((name, default)) => (name.trim(), Some(default)),
            None => (behind[..end].trim(), None),
        };
        if name.is_empty() {
            return Err("a '${…}' names no environment variable".into());
        }
        out.push_str(before);
        match (env(name), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "the environment variable {name} is not set, and '${{{name}:…}}' gives no default"
                ));
            }
        }
        rest = &behind[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
