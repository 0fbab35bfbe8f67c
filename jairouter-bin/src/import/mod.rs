//! `jairouter import`: the configurations of others, as ours; and what of them is not in it.

mod litellm;
mod litellm_model;
mod nginx;
mod nginx_settings;
mod nginx_words;
mod olla;
mod tree;
mod yaml;

use std::fmt::{self, Write as _};

use jairouter_config::config;

use crate::cli::Foreign;

/// The most that is read from standard input, in bytes.
pub(crate) const LARGEST: u64 = 1 << 20;

/// What came of a foreign configuration.
pub(crate) struct Imported {
    /// Ours, with a comment for each note.
    pub(crate) yaml: String,
    /// What has no faithful counterpart.
    pub(crate) notes: Vec<Note>,
}

/// Something that is not, or not quite, in what is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Of the file, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.text)
    }
}

/// Notes as they are collected.
#[derive(Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, line: usize, text: impl Into<String>) {
        let text = printable(&text.into());
        let note = Note { line, text };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// Says that this is not there.
    fn none(&mut self, line: usize, what: &str) {
        self.add(line, format!("'{what}' has no counterpart here"));
    }
}

/// Makes ours of this.
///
/// # Errors
///
/// Why it cannot be read, or cannot be one of ours, with lines.
pub(crate) fn import(from: Foreign, text: &str) -> Result<Imported, String> {
    let mut notes = Notes::default();
    let (name, tree) = match from {
        Foreign::Litellm => ("a LiteLLM proxy's configuration", litellm::import(text, &mut notes)?),
        Foreign::Olla => ("an Olla configuration", olla::import(text, &mut notes)?),
        Foreign::NginxUpstream => ("an nginx configuration", nginx::import(text, &mut notes)?),
    };
    let Notes(mut notes) = notes;
    notes.sort_by_key(|note| note.line);
    let mut yaml = format!("# Made by 'jairouter import' of {name}.\n");
    if !notes.is_empty() {
        yaml.push_str("# What of it is not here, or otherwise:\n");
    }
    for Note { line, text } in &notes {
        // Memory does not refuse a write.
        let _ = writeln!(yaml, "#   line {line}: {text}");
    }
    tree.write(&mut yaml);
    check(&yaml)?;
    Ok(Imported { yaml, notes })
}

/// Nothing is printed that would not be taken, but for what this machine or its environment lacks.
fn check(yaml: &str) -> Result<(), String> {
    // What the configuration names, and nothing that means something by itself.
    let env = |name: &str| (!name.starts_with("OTEL_")).then(|| "x".repeat(64));
    let Err(errors) = config::load(yaml, &env) else { return Ok(()) };
    let errors = errors.into_iter().filter(|error| !error.message.contains("cannot be read"));
    let errors: Vec<_> = errors.map(|error| format!("{}: {}", error.path, error.message)).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(format!("1: what this would become is not taken here: {}", errors.join("; ")))
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

#[cfg(test)]
mod tests;
