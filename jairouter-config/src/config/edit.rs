//! Changes a configuration's text in the places that differ, and leaves the rest, comments too, as somebody wrote
//! it.

use std::ops::Range;

use serde_json::{Map, Value as Json};

use super::node::{self, Node, Value};
use super::tree::{json, number, word};

/// How far a part is indented in its whole.
const STEP: usize = 2;

/// The same text, saying this.
///
/// # Errors
///
/// If it is no YAML, or written in a form that cannot be changed in place, as text.
pub fn rewrite(text: &str, new: &Json) -> Result<String, String> {
    let root = node::parse(text).map_err(|error| error.to_string())?;
    let mut edits = Edits { text: text.chars().collect(), edits: Vec::new() };
    edits.change(&root, new);
    let text = edits.done();
    // The form may have had more to it than is known here; then nobody's file is touched.
    match node::parse(&text) {
        Ok(root) if json(&root) == *new => Ok(text),
        _ => Err("the file is written in a form that cannot be changed in place: \
                  change it with an editor"
            .to_owned()),
    }
}

struct Edits {
    text: Vec<char>,
    /// What takes the place of what, from top to bottom.
    edits: Vec<(Range<usize>, String)>,
}

impl Edits {
    fn done(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut done = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, new) in self.edits {
            done.extend(&self.text[at..range.start.max(at)]);
            done.push_str(&new);
            at = range.end.max(at);
        }
        done.extend(&self.text[at..]);
        done
    }

    fn change(&mut self, node: &Node, new: &Json) {
        match (&node.value, new) {
            _ if json(node) == *new => {}
            (Value::Mapping(entries), Json::Object(new))
                if entries.iter().any(|(key, _)| new.contains_key(word(key))) =>
            {
                self.change_mapping(node, entries, new);
            }
            (Value::Sequence(items), Json::Array(new)) if !items.is_empty() && !new.is_empty() => {
                self.change_sequence(node, items, new);
            }
            _ => self.replace(node, new),
        }
    }

    fn change_mapping(&mut self, node: &Node, entries: &[(Node, Node)], new: &Map<String, Json>) {
        let is_flow = self.is_flow(node);
        for (nth, (key, value)) in entries.iter().enumerate() {
            match new.get(word(key)) {
                // Nothing has no place of its own.
                Some(new) if value.written.is_empty() && json(value) != *new => {
                    let end = key.written.end;
                    let colon = self.text[end..].iter().position(|c| *c == ':').unwrap_or(0);
                    self.insert(end + colon + 1, format!(" {new}"));
                }
                Some(new) => self.change(value, new),
                None => {
                    let next = entries.get(nth + 1).map(|(key, _)| key.written.start);
                    let before = nth.checked_sub(1).map(|nth| self.end(&entries[nth].1));
                    self.remove(key.written.start..self.end(value), before, next, is_flow);
                }
            }
        }
        let added = new.iter().filter(|(key, _)| entries.iter().all(|(old, _)| word(old) != *key));
        let Some((_, last)) = entries.iter().rfind(|(key, _)| new.contains_key(word(key))) else {
            return;
        };
        for (key, value) in in_order(added) {
            if is_flow {
                let (key, value) = (Json::from(key.as_str()), value);
                self.insert(self.end(last), format!(", {key}: {value}"));
            } else {
                let indent = node.column - 1;
                let entry = entry(key, value, indent);
                self.insert(self.line_end(self.end(last)), format!("\n{}{entry}", space(indent)));
            }
        }
    }

    fn change_sequence(&mut self, node: &Node, items: &[Node], new: &[Json]) {
        let is_flow = self.is_flow(node);
        let old: Vec<_> = items.iter().map(json).collect();
        let common = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let rest = (&old[common..], &new[common..]);
        let tail = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
        let (old_middle, new_middle) = (common..old.len() - tail, common..new.len() - tail);
        let changed = old_middle.len().min(new_middle.len());
        for nth in common..common + changed {
            self.change(&items[nth], &new[nth]);
        }
        for nth in common + changed..old_middle.end {
            let next = items.get(nth + 1).map(|next| self.item_start(next, is_flow));
            let before = nth.checked_sub(1).map(|nth| self.end(&items[nth]));
            let start = self.item_start(&items[nth], is_flow);
            self.remove(start..self.end(&items[nth]), before, next, is_flow);
        }
        let place = common + changed;
        for new in &new[place..new_middle.end.max(place)] {
            let dash = |item| self.column(self.item_start(item, false));
            match (place.checked_sub(1).map(|before| &items[before]), is_flow) {
                (Some(before), true) => self.insert(self.end(before), format!(", {new}")),
                (Some(before), false) => {
                    let column = dash(before);
                    let item = format!("\n{}- {}", space(column), block(new, column + STEP));
                    self.insert(self.line_end(self.end(before)), item);
                }
                (None, true) => self.insert(items[0].written.start, format!("{new}, ")),
                (None, false) => {
                    let column = dash(&items[0]);
                    let item = format!("- {}\n{}", block(new, column + STEP), space(column));
                    self.insert(self.item_start(&items[0], false), item);
                }
            }
        }
    }

    fn insert(&mut self, at: usize, text: String) {
        self.edits.push((at..at, text));
    }

    fn replace(&mut self, node: &Node, new: &Json) {
        let (mut range, is_flow) = (node.written.start..self.end(node), self.is_flow(node));
        let is_quoted = matches!(self.text.get(range.start), Some('"' | '\''));
        if matches!(node.value, Value::Scalar { plain: false, .. }) && !is_quoted {
            // Several lines, behind a sign that says so.
            let sign = self.text[..range.start].iter().rposition(|c| matches!(c, '|' | '>'));
            range.start = sign.unwrap_or(range.start);
        }
        let is_block = matches!(node.value, Value::Mapping(_) | Value::Sequence(_)) && !is_flow;
        let is_same_kind = matches!(
            (&node.value, new),
            (Value::Mapping(_), Json::Object(_)) | (Value::Sequence(_), Json::Array(_))
        );
        let new = match is_block && is_same_kind {
            true => block(new, node.column - 1),
            false => new.to_string(),
        };
        self.edits.push((range, new));
    }

    /// Takes a part out, with its line if it has that for itself, or with the comma before or behind it.
    fn remove(
        &mut self,
        part: Range<usize>,
        before: Option<usize>,
        next: Option<usize>,
        is_flow: bool,
    ) {
        let line = self.line_start(part.start);
        let is_own = self.text[line..part.start].iter().all(|c| c.is_whitespace());
        let range = match (next, before) {
            // With the end of the line before: something may be put behind this one.
            _ if !is_flow && is_own && line > 0 => line - 1..self.line_end(part.end),
            _ if !is_flow && is_own => line..(self.line_end(part.end) + 1).min(self.text.len()),
            // Behind a dash the next one moves to its place.
            (Some(next), _) => part.start..next,
            (None, Some(before)) if is_flow => before..part.end,
            _ => part,
        };
        self.edits.push((range, String::new()));
    }

    /// Whether it is written within brackets.
    fn is_flow(&self, node: &Node) -> bool {
        let first = match &node.value {
            Value::Sequence(items) => items.first().map(|item| item.written.start),
            Value::Mapping(entries) => entries.first().map(|(key, _)| key.written.start),
            Value::Scalar { .. } => None,
        };
        // Where a list has no bracket of its own, one of its first item's is no sign.
        matches!(self.text.get(node.written.start), Some('[' | '{'))
            && first != Some(node.written.start)
    }

    /// Where an item begins: with its dash, if it has one.
    fn item_start(&self, item: &Node, is_flow: bool) -> usize {
        if is_flow {
            return item.written.start;
        }
        let before = &self.text[..item.written.start];
        let behind = before.iter().rposition(|c| !c.is_whitespace());
        behind.filter(|at| before[*at] == '-').unwrap_or(item.written.start)
    }

    /// Where it ends, without the white space behind it.
    fn end(&self, node: &Node) -> usize {
        let written = &self.text[node.written.clone()];
        let last = written.iter().rposition(|c| !c.is_whitespace());
        node.written.start + last.map_or(0, |last| last + 1)
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].iter().rposition(|c| *c == '\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].iter().position(|c| *c == '\n').map_or(self.text.len(), |n| at + n)
    }

    fn column(&self, at: usize) -> usize {
        at - self.line_start(at)
    }
}

/// What names a thing goes before what it is like.
fn in_order<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Json)>,
) -> impl Iterator<Item = (&'a String, &'a Json)> {
    let (mut named, others): (Vec<_>, Vec<_>) =
        entries.partition(|(key, _)| matches!(key.as_str(), "name" | "instance-id" | "instanceId"));
    named.extend(others);
    named.into_iter()
}

/// A key and its value in a mapping that is indented by this.
fn entry(key: &str, value: &Json, indent: usize) -> String {
    let key = scalar(key);
    match value {
        Json::Object(map) if !map.is_empty() => {
            let inner = indent + STEP;
            format!("{key}:\n{}{}", space(inner), block(value, inner))
        }
        Json::Array(items) if !items.is_empty() => {
            let inner = indent + STEP;
            format!("{key}:\n{}{}", space(inner), block(value, inner))
        }
        _ => format!("{key}: {}", block(value, indent)),
    }
}

/// A value whose lines after the first are indented by this.
fn block(value: &Json, indent: usize) -> String {
    let between = format!("\n{}", space(indent));
    match value {
        Json::Object(map) if !map.is_empty() => {
            let entries = in_order(map.iter()).map(|(key, value)| entry(key, value, indent));
            entries.collect::<Vec<_>>().join(&between)
        }
        Json::Array(items) if !items.is_empty() => {
            let items = items.iter().map(|item| format!("- {}", block(item, indent + STEP)));
            items.collect::<Vec<_>>().join(&between)
        }
        Json::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A word, in quotes where it would read as something else.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && number(text).is_none()
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_word { text.to_owned() } else { Json::from(text).to_string() }
}

fn space(columns: usize) -> String {
    " ".repeat(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::tree::tree;

    const FILE: &str = "\
# The lab's.
model:
  services:
    chat: # two of them
      instances:
        - name: a  # the big one
          base-url: http://10.0.0.1:8000
          weight: 2 # twice as fast

        # the old one
        - { name: b, base-url: 'http://10.0.0.2:8000', headers: { x: '1' } }
server: { port: 80 }
";

    fn changed(file: &str, change: impl FnOnce(&mut Json)) -> String {
        let mut new = tree(file).unwrap();
        change(&mut new);
        rewrite(file, &new).unwrap()
    }

    fn instances(tree: &mut Json) -> &mut Vec<Json> {
        tree["model"]["services"]["chat"]["instances"].as_array_mut().unwrap()
    }

    #[test]
    fn only_what_differs_is_written_anew() {
        let weight = changed(FILE, |tree| instances(tree)[0]["weight"] = json!(3));
        assert_eq!(weight, FILE.replace("weight: 2", "weight: 3"));
        let path = changed(FILE, |tree| instances(tree)[0]["path"] = json!("/v1/x"));
        assert_eq!(path, FILE.replace("as fast\n", "as fast\n          path: /v1/x\n"));
        let flow = changed(FILE, |tree| instances(tree)[1]["weight"] = json!(3));
        assert_eq!(flow, FILE.replace("{ x: '1' }", "{ x: '1' }, \"weight\": 3"));
        let port = changed(FILE, |tree| tree["server"]["port"] = json!(8080));
        assert_eq!(port, FILE.replace("80 }", "8080 }"));
    }

    #[test]
    fn instances_come_and_go_without_the_comments_of_others() {
        let third =
            json!({"base-url": "http://10.0.0.3:8000", "name": "c:1", "headers": {"k": "v"}});
        let added = changed(FILE, |tree| instances(tree).push(third));
        let item = "        - name: \"c:1\"\n          base-url: \"http://10.0.0.3:8000\"\n          \
                    headers:\n            k: v\n";
        assert_eq!(added, FILE.replace("server:", &format!("{item}server:")));
        let second_gone = changed(FILE, |tree| drop(instances(tree).remove(1)));
        let lines: Vec<_> = FILE.lines().filter(|line| !line.contains("name: b")).collect();
        assert_eq!(second_gone, lines.join("\n") + "\n");
        let first_gone = changed(FILE, |tree| drop(instances(tree).remove(0)));
        assert!(first_gone.contains("# two of them\n      instances:\n"), "{first_gone}");
        assert!(first_gone.contains("# the old one") && !first_gone.contains("10.0.0.1"));
        let name_gone = changed(FILE, |tree| {
            drop(instances(tree)[0].as_object_mut().unwrap().remove("name"));
        });
        assert!(name_gone.contains("- base-url: http://10.0.0.1"), "{name_gone}");
    }

    #[test]
    fn services_come_and_go() {
        let added = changed(FILE, |tree| {
            tree["model"]["services"]["rerank"] = json!({"instances": [{"name": "r"}]});
        });
        assert!(
            added.contains("    rerank:\n      instances:\n        - name: r\nserver"),
            "{added}"
        );
        let gone = changed(&added, |tree| {
            drop(tree["model"]["services"].as_object_mut().unwrap().remove("rerank"));
        });
        assert_eq!(gone, FILE);
    }

    #[test]
    fn what_comes_first_is_put_in_front() {
        assert_eq!(
            changed("a:\n  - 1 # one\n", |tree| tree["a"] = json!([0, 1])),
            "a:\n  - 0\n  - 1 # one\n"
        );
        assert_eq!(changed("a: [1]\n", |tree| tree["a"] = json!([0, 1])), "a: [0, 1]\n");
    }

    #[test]
    fn a_list_may_stand_below_its_key_and_hold_what_is_in_brackets() {
        let file = "a:\n# 0\n- { n: 0 } # same 0\n# 1\n- { n: 1 } # same 1\nb: 1\n";
        let gone = changed(file, |tree| drop(tree["a"].as_array_mut().unwrap().pop()));
        assert_eq!(gone, "a:\n# 0\n- { n: 0 } # same 0\n# 1\nb: 1\n");
        let more = changed(file, |tree| tree["a"].as_array_mut().unwrap().push(json!(2)));
        assert_eq!(more, file.replace("b: 1", "- 2\nb: 1"));
    }

    #[test]
    fn a_key_that_said_nothing_says_something() {
        assert_eq!(changed("a:\nb: 1\n", |tree| tree["a"] = json!([1])), "a: [1]\nb: 1\n");
        assert_eq!(changed("a: |\n  x\n  y\nb: 1", |t| t["a"] = json!("z")), "a: \"z\"\nb: 1");
    }

    fn value() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
            "[a-z0-9:#'\" -]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-d]{1,2}", inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    fn document() -> impl Strategy<Value = Json> {
        prop::collection::btree_map("[a-d]{1,2}", value(), 1..4)
            .prop_map(|map| Json::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn whatever_is_written_in_blocks_can_say_anything_else(old in document(), new in document()) {
            let file = block(&old, 0);
            prop_assert_eq!(tree(&file).unwrap(), old);
            let written = rewrite(&file, &new);
            prop_assert!(written.is_ok(), "{file}\nto {new}");
            // What belongs to others stays.
            let file = format!("# one\n{}\nzz: # two\n  - y # three\n", file.replace('\n', " # four\n"));
            let mut more = new.clone();
            more["zz"] = json!(["y"]);
            let written = rewrite(&file, &more);
            let written = written.map_err(|why| TestCaseError::fail(format!("{why}: {file}\nto {more}")))?;
            prop_assert!(["# one", "# two", "# three"].iter().all(|own| written.contains(own)), "{written}");
        }

        #[test]
        fn whatever_is_written_in_brackets_can_say_anything_else(old in document(), new in document()) {
            let written = rewrite(&old.to_string(), &new);
            prop_assert!(written.is_ok(), "{old}\nto {new}");
        }
    }
}
