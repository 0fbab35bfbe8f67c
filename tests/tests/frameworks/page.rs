//! The page, read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands above each column that says what passes.
pub(crate) const COLUMNS: [&str; 6] = ["whole", "streaming", "tools", "images", "usage", "errors"];

/// What is said of one adapter, set up in one way.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// How it is set up, if it has options.
    pub(crate) options: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
    /// Endpoints that it does not have.
    pub(crate) lacks: Vec<String>,
    /// The tests that cells refer to, by the letter they do it with.
    pub(crate) tests: BTreeMap<String, Proof>,
}

/// An endpoint of an adapter.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) endpoint: String,
    /// Where the engine is asked, whole and streamed, if that is not the same.
    pub(crate) paths: Vec<String>,
    pub(crate) cells: Vec<String>,
}

/// A test, and the file that it is in.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) test: String,
    pub(crate) file: PathBuf,
}

impl Section {
    pub(crate) fn title(&self) -> String {
        let options = self.options.iter().map(|(key, value)| format!(", {key}: {value}"));
        self.name.clone() + &options.collect::<String>()
    }

    /// Whether it is the same adapter with an option more.
    pub(crate) fn is_variant_of(&self, other: &Self) -> bool {
        let has = |option| self.options.contains(option);
        self.name == other.name
            && other.options.iter().all(has)
            && other.options.len() < self.options.len()
    }

    pub(crate) fn options(&self) -> Vec<(&str, &str)> {
        self.options.iter().map(|(key, value)| (&**key, &**value)).collect()
    }
}

impl Proof {
    /// Whether there is such a test.
    pub(crate) fn exists(&self) -> bool {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let Some((before, _)) = text.split_once(&format!("fn {}()", self.test)) else {
            return false;
        };
        let above: Vec<_> = before.lines().rev().take(3).collect();
        above.iter().any(|line| line.trim().starts_with("#[test") || line.contains("::test"))
    }
}

/// The sections of the page, one for each heading of the third level.
pub(crate) fn read(page: &Path) -> Vec<Section> {
    let text = fs::read_to_string(page).expect("the page is there");
    let mut sections: Vec<Section> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            sections.push(headed(heading));
            is_inside = true;
        } else if line.starts_with("## ") {
            is_inside = false;
        }
        let Some(section) = sections.last_mut().filter(|_| is_inside) else { continue };
        if let Some(row) = line.strip_prefix("| `").and_then(row) {
            section.rows.push(row);
        } else if let Some(lacks) = line.strip_prefix("Not offered: ") {
            let names = lacks.trim_end_matches('.').split(", ");
            section.lacks.extend(names.map(|name| name.trim_matches('`').to_owned()));
        } else if let Some((letter, proof)) = proof(line, page) {
            assert!(!section.tests.contains_key(&letter), "{letter} in {}", section.title());
            section.tests.insert(letter, proof);
        }
    }
    sections
}

/// What the page says of an adapter's models, health and keys.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) models: String,
    pub(crate) health: String,
    pub(crate) key: String,
    pub(crate) shown_by: String,
}

/// The table of models, health and keys, and the tests that it refers to.
pub(crate) fn about(page: &Path) -> (Vec<About>, BTreeMap<String, Proof>) {
    let text = fs::read_to_string(page).expect("the page is there");
    let (_, text) = text.split_once("\n## Models").expect("there is a table of models");
    let (text, _) = text.split_once("\n## ").expect("it is not the last");
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        let cell = |at: usize| cells[at].trim_matches('`').to_owned();
        let (models, health, key) = (cell(1), cell(2), cell(3));
        Some(About { name: cell(0), models, health, key, shown_by: cells[4].to_owned() })
    });
    (rows.collect(), text.lines().filter_map(|line| proof(line, page)).collect())
}

/// A name, and behind commas the options, each with its value in backticks.
fn headed(heading: &str) -> Section {
    let (name, options) = heading.split_once(", ").unwrap_or((heading, ""));
    let options = options.split(", ").filter_map(|option| {
        let (key, value) = option.trim_matches('`').split_once(": ")?;
        Some((key.to_owned(), value.to_owned()))
    });
    Section { name: name.to_owned(), options: options.collect(), ..Section::default() }
}

fn row(line: &str) -> Option<Row> {
    let (endpoint, rest) = line.split_once("` |")?;
    let mut cells = rest.trim_end().trim_end_matches('|').split('|').map(str::trim);
    let path = cells.next()?;
    let paths = path.split(", ").map(|path| path.trim_matches('`').to_owned()).collect();
    let cells: Vec<_> = cells.map(str::to_owned).collect();
    assert_eq!(cells.len(), COLUMNS.len(), "{line}");
    Some(Row { endpoint: endpoint.to_owned(), paths, cells })
}

/// A letter and what it stands for, as in "- a: `test` in [file](path)".
fn proof(line: &str, page: &Path) -> Option<(String, Proof)> {
    let (letter, rest) = line.strip_prefix("- ")?.split_once(": `")?;
    let (test, rest) = rest.split_once("` in [")?;
    let (_, path) = rest.strip_suffix(')')?.split_once("](")?;
    let file = page.parent()?.join(path);
    Some((letter.to_owned(), Proof { test: test.to_owned(), file }))
}
