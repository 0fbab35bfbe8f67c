//! The YAML as a tree, with a place for every node and bounds on all it holds.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::Diagnostic;

/// The deepest nesting taken.
const DEEPEST: usize = 64;

/// The most nodes taken: some 15,000 instances.
const MOST_NODES: usize = 100_000;

/// The longest key taken, in bytes. Every message about what is below a key repeats it.
const LONGEST_KEY: usize = 256;

/// The least that loads, for who begins with nothing.
const LEAST: &str = "model: { services: { chat: { instances: [ { name: \"qwen3:1.7b\", \
                     adapter: ollama, base-url: \"http://127.0.0.1:11434\" } ] } } }";

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// From where to where it is written, in characters; what follows may be white space.
    pub(super) written: Range<usize>,
    /// What is there.
    pub value: Value,
}

/// What a node is.
#[derive(Debug)]
pub enum Value {
    /// A text, a number, a word.
    Scalar {
        /// Without its quotes.
        text: String,
        /// Written without quotes, so that an empty one, `~` and `null` mean nothing at all.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys are scalars; their order is that of the file.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    fn new(span: Span, value: Value) -> Self {
        let written = span.start.index()..span.end.index();
        Self { line: span.start.line(), column: span.start.col() + 1, written, value }
    }

    /// The same, to where its last part ends.
    fn until(mut self, end: usize) -> Self {
        self.written.end = self.written.end.max(end);
        self
    }

    /// Whether it says nothing: `key:` without a value.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Parses one document. Anchors may be set, and not used: a few lines of aliases can stand for
/// gigabytes.
///
/// # Errors
///
/// The first thing that is no YAML, or no YAML that is taken here.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let marker = *error.marker();
            fault(marker.line(), marker.col() + 1, format!("this is not YAML: {}", error.info()))
        })?;
        builder.take(event, span).map_err(|message| {
            fault(span.start.line(), span.start.col() + 1, message.to_owned())
        })?;
    }
    match builder.root {
        Some(root) if !root.is_null() => Ok(root),
        _ => {
            Err(fault(1, 1, format!("the configuration is empty; the least that works is {LEAST}")))
        }
    }
}

fn fault(line: usize, column: usize, message: String) -> Diagnostic {
    Diagnostic { line: line.max(1), column, path: String::new(), message }
}

/// What is open, innermost last. A mapping holds the key whose value is awaited.
enum Open {
    Sequence(Span, Vec<Node>),
    Mapping(Span, Vec<(Node, Node)>, Option<Node>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                plain_tag(tag.as_deref())?;
                let plain = matches!(style, ScalarStyle::Plain);
                self.add(Node::new(span, Value::Scalar { text: text.into_owned(), plain }))
            }
            Event::SequenceStart(_, tag) => {
                plain_tag(tag.as_deref())?;
                self.open(Open::Sequence(span, Vec::new()))
            }
            Event::MappingStart(_, tag) => {
                plain_tag(tag.as_deref())?;
                self.open(Open::Mapping(span, Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(begin, nodes)) => {
                    let last = nodes.last().map_or(0, |node| node.written.end);
                    let end = closed(span).unwrap_or(last);
                    self.add(Node::new(begin, Value::Sequence(nodes)).until(end))
                }
                Some(Open::Mapping(begin, entries, _)) => {
                    let last = entries.last().map_or(0, |(_, node)| node.written.end);
                    let end = closed(span).unwrap_or(last);
                    self.add(Node::new(begin, Value::Mapping(entries)).until(end))
                }
                None => Ok(()),
            },
            Event::Alias(_) => Err("aliases (*name) are not taken: write the value out"),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err("a second document begins here: a configuration is one")
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), &'static str> {
        if self.open.len() == DEEPEST {
            return Err("this is nested more than 64 levels deep");
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), &'static str> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err("this holds more than 100000 keys and values");
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::Sequence(_, nodes)) => nodes.push(node),
            Some(Open::Mapping(_, entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => match &node.value {
                    Value::Scalar { text, .. } if text.len() <= LONGEST_KEY => *key = Some(node),
                    Value::Scalar { .. } => return Err("this key is longer than 256 bytes"),
                    _ => return Err("a key must be a plain word"),
                },
            },
        }
        Ok(())
    }
}

/// Where a collection ends that has a bracket for it. Others end with their last part.
fn closed(end: Span) -> Option<usize> {
    (end.end.index() > end.start.index()).then(|| end.end.index())
}

/// What a value means is up to its key, so YAML's own types may be named, and change nothing.
/// Others promise what nobody here does: to read a file, or the environment.
fn plain_tag(tag: Option<&Tag>) -> Result<(), &'static str> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err(
            "tags (!name) are not taken: write the value itself, or ${NAME} for the environment",
        ),
        _ => Ok(()),
    }
}
