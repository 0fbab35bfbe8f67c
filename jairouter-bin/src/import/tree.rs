//! What is written: YAML of maps and lists in the order in which they were made.

use std::fmt::Write as _;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A number, a word or a duration.
    Word(String),
    /// Anything, in quotes.
    Text(String),
    List(Vec<Item>),
    Map(Tree),
}

/// A map.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(Vec<(String, Item)>);

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }

    fn put(&mut self, key: &str, item: Item) {
        self.0.retain(|(known, _)| known != key);
        self.0.push((key.to_owned(), item));
    }

    pub(super) fn word(&mut self, key: &str, word: impl std::fmt::Display) {
        self.put(key, Item::Word(word.to_string()));
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.put(key, Item::Text(text.to_owned()));
    }

    pub(super) fn list(&mut self, key: &str, items: Vec<Item>) {
        self.put(key, Item::List(items));
    }

    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The texts of the list under this key.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let list = self.0.iter().find_map(|(known, item)| match item {
            Item::List(items) if known == key => Some(items),
            _ => None,
        });
        let text = |item: &Item| match item {
            Item::Text(text) => Some(text.clone()),
            _ => None,
        };
        list.into_iter().flatten().filter_map(text).collect()
    }

    /// The map under this key, unless it holds nothing.
    pub(super) fn map(&mut self, key: &str, tree: Self) {
        if !tree.is_empty() {
            self.put(key, Item::Map(tree));
        }
    }

    /// The map under this key, to be added to.
    pub(super) fn under(&mut self, key: &str) -> &mut Self {
        let at = self.0.iter().position(|(known, _)| known == key);
        let at = at.unwrap_or_else(|| {
            self.0.push((key.to_owned(), Item::Map(Self::default())));
            self.0.len() - 1
        });
        if !matches!(self.0[at].1, Item::Map(_)) {
            self.0[at].1 = Item::Map(Self::default());
        }
        match &mut self.0[at].1 {
            Item::Map(tree) => tree,
            _ => unreachable!("it is a map"),
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        self.lines(out, 0);
    }

    fn lines(&self, out: &mut String, depth: usize) {
        for (key, item) in &self.0 {
            let indent = "  ".repeat(depth);
            // Memory does not refuse a write.
            let _ = write!(out, "{indent}{}:", quoted_key(key));
            item.behind(out, depth);
        }
    }
}

impl Item {
    /// Behind a key.
    fn behind(&self, out: &mut String, depth: usize) {
        match self {
            Self::Word(word) => {
                let _ = writeln!(out, " {word}");
            }
            Self::Text(text) => {
                let _ = writeln!(out, " {}", quoted(text));
            }
            Self::Map(tree) if tree.is_empty() => out.push_str(" {}\n"),
            Self::Map(tree) => {
                out.push('\n');
                tree.lines(out, depth + 1);
            }
            Self::List(items) if items.iter().all(Item::is_short) => {
                let items: Vec<_> = items.iter().map(Self::short).collect();
                let _ = writeln!(out, " [{}]", items.join(", "));
            }
            Self::List(items) => {
                out.push('\n');
                for item in items {
                    item.of_list(out, depth + 1);
                }
            }
        }
    }

    fn of_list(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        match self {
            Self::Map(tree) => {
                let mut lines = String::new();
                tree.lines(&mut lines, depth + 1);
                // The first key stands behind the dash.
                let _ = writeln!(out, "{indent}- {}", lines.trim_start().trim_end());
            }
            _ => {
                let _ = writeln!(out, "{indent}- {}", self.short());
            }
        }
    }

    fn is_short(&self) -> bool {
        matches!(self, Self::Word(_) | Self::Text(_))
    }

    fn short(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => quoted(text),
            Self::List(_) | Self::Map(_) => String::new(),
        }
    }
}

/// JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_key(key: &str) -> String {
    let is_word = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_word && key.starts_with(|first: char| first.is_ascii_alphabetic()) {
        key.to_owned()
    } else {
        quoted(key)
    }
}
