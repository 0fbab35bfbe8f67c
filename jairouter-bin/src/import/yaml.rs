//! Reading a foreign YAML file: what is asked for is taken, and what is left is said.

use jairouter_config::config::{Node, Value};

use super::Notes;
use super::tree::Item;

/// A map of a foreign file.
pub(super) struct Section<'a> {
    path: String,
    entries: Vec<(&'a str, &'a Node, &'a Node, bool)>,
}

/// A value of one, and where it is.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) line: usize,
    pub(super) node: &'a Node,
}

impl<'a> Section<'a> {
    /// This node, which is a map, or as good as empty.
    pub(super) fn new(path: &str, node: &'a Node, notes: &mut Notes) -> Self {
        let mut entries = Vec::new();
        match &node.value {
            Value::Mapping(pairs) => {
                for (key, value) in pairs {
                    if let Value::Scalar { text, .. } = &key.value {
                        entries.push((text.as_str(), key, value, false));
                    }
                }
            }
            _ if node.is_null() => {}
            _ => notes
                .add(node.line, format!("'{path}' is no map of keys and values, and is left out")),
        }
        Self { path: path.to_owned(), entries }
    }

    /// The value of this key.
    pub(super) fn take(&mut self, key: &str) -> Option<Found<'a>> {
        let entry = self.entries.iter_mut().find(|entry| entry.0 == key && !entry.3)?;
        entry.3 = true;
        (!entry.2.is_null()).then_some(Found { line: entry.1.line, node: entry.2 })
    }

    /// The section of this key, which is empty if there is none.
    pub(super) fn section(&mut self, key: &str, notes: &mut Notes) -> Section<'a> {
        match self.take(key) {
            Some(found) => Section::new(&join(&self.path, key), found.node, notes),
            None => Self { path: join(&self.path, key), entries: Vec::new() },
        }
    }

    /// Every key and value that is left.
    pub(super) fn rest(&mut self) -> Vec<(&'a str, Found<'a>)> {
        let left = self.entries.iter_mut().filter(|entry| !entry.3);
        let left = left.map(|entry| {
            entry.3 = true;
            (entry.0, Found { line: entry.1.line, node: entry.2 })
        });
        left.collect()
    }

    /// Says that these, if they are there, are not, for this reason.
    pub(super) fn without(&mut self, keys: &[&str], why: &str, notes: &mut Notes) {
        for key in keys {
            if let Some(found) = self.take(key) {
                notes.add(found.line, format!("'{}': {why}", join(&self.path, key)));
            }
        }
    }

    /// Says of all that is left that it has no counterpart.
    pub(super) fn finish(mut self, notes: &mut Notes) {
        let path = std::mem::take(&mut self.path);
        for (key, found) in self.rest() {
            notes.none(found.line, &join(&path, key));
        }
    }
}

impl<'a> Found<'a> {
    /// Its text.
    pub(super) fn text(self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub(super) fn list(self) -> Vec<Found<'a>> {
        match &self.node.value {
            Value::Sequence(nodes) => {
                nodes.iter().map(|node| Found { line: node.line, node }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A number of at least this, or a note.
    pub(super) fn number(self, what: &str, least: f64, notes: &mut Notes) -> Option<f64> {
        let number = self.text().and_then(|text| text.parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite() && *number >= least);
        if number.is_none() {
            notes.add(
                self.line,
                format!("'{what}' is no number that could be taken, and is left out"),
            );
        }
        number
    }

    /// A whole number within these bounds, or the nearer of them and a note.
    pub(super) fn whole(self, what: &str, least: u64, most: u64, notes: &mut Notes) -> Option<u64> {
        let number = self.number(what, 0.0, notes)?;
        let whole = (number.floor() as u64).clamp(least, most);
        if (whole as f64 - number).abs() > f64::EPSILON {
            notes.add(
                self.line,
                format!(
                    "'{what}' is {whole} here: it goes from {least} to {most}, in whole numbers"
                ),
            );
        }
        Some(whole)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A number as it is written, without a fraction that is none.
pub(super) fn plain(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Texts as a list.
pub(super) fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<Item> {
    texts.into_iter().map(|text| Item::Text(text.to_owned())).collect()
}

/// What an instance can be called, or a note.
pub(super) fn id(found: Found<'_>, what: &str, notes: &mut Notes) -> Option<String> {
    let text = found.text().unwrap_or_default();
    // Room for the name of a service in front of it.
    let is_one = (1..=100).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.contains("${");
    if !is_one {
        notes.add(found.line, format!("'{what}' is no id of an instance here, and is left out"));
    }
    is_one.then(|| text.to_owned())
}
