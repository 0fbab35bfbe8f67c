//! What a key may hold, as the tables say it and as JSON Schema does.

use serde_json::{Value, json};

/// A map of known keys.
#[derive(Debug)]
pub(super) struct Object {
    /// What it is called in the schema.
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static [Key]],
    pub(super) required: &'static [&'static str],
}

/// A key, what it holds, its default if that can be said in a word, and what it is for.
#[derive(Debug)]
pub(super) struct Key(
    pub(super) &'static str,
    pub(super) Kind,
    pub(super) &'static str,
    pub(super) &'static str,
);

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Flag,
    /// The same, or one of these.
    FlagOr(&'static [&'static str]),
    /// From 0 to 1.
    Ratio,
    /// From the least to the most.
    Whole(u64, u64),
    /// The same from 1, or `unlimited`.
    Limit(u64),
    /// Above 0.
    Number,
    Duration,
    Size,
    Text,
    OneOf(&'static [&'static str]),
    /// A name of which these are some.
    Such(fn() -> Vec<&'static str>),
    List(&'static Kind),
    /// One, or a list.
    Some(&'static Kind),
    /// A map of names that somebody chose.
    Named(&'static Kind),
    /// A map of some of these names.
    Names(fn() -> Vec<String>, &'static Kind),
    /// A list, or a map of names.
    Models,
    Object(&'static Object),
    /// Understood and of no effect.
    Foreign,
}

/// What the environment is put into.
const VARIABLE: &str = r"\$\{";

impl Object {
    pub(super) fn all(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.keys.iter().copied().flatten()
    }

    /// As JSON Schema has it.
    pub(super) fn schema(&self) -> Value {
        let (mut properties, mut patterns) = (json!({}), json!({}));
        for Key(name, kind, default, what) in self.all() {
            let mut schema = kind.schema();
            schema["description"] = json!(what);
            match (*default, kind) {
                ("", _) => {}
                (default, Kind::Flag | Kind::Whole(..) | Kind::Number | Kind::Limit(_)) => {
                    schema["default"] = serde_json::from_str(default).unwrap_or(json!(default));
                }
                (default, _) => schema["default"] = json!(default),
            }
            if let Kind::Foreign = kind {
                schema["deprecated"] = json!(true);
            }
            let others = spellings(name);
            if !others.is_empty() {
                patterns[format!("^({})$", others.join("|"))] = schema.clone();
            }
            properties[*name] = schema;
        }
        let mut schema = json!({
            "type": "object", "properties": properties, "patternProperties": patterns, "additionalProperties": false,
        });
        // Either spelling is the key.
        let required = self.required.iter().map(|name| {
            let spelled = [vec![(*name).to_owned()], spellings(name)].concat();
            json!({ "anyOf": spelled.iter().map(|name| json!({ "required": [name] })).collect::<Vec<_>>() })
        });
        let required: Vec<_> = required.collect();
        if !required.is_empty() {
            schema["allOf"] = json!(required);
        }
        schema
    }
}

/// The other ways in which a key is usually written: `camelCase` and `snake_case`.
pub(super) fn spellings(name: &str) -> Vec<String> {
    if !name.contains('-') {
        return Vec::new();
    }
    let mut camel = String::new();
    for (nth, word) in name.split('-').enumerate() {
        let (first, rest) = word.split_at(1.min(word.len()));
        camel.push_str(&if nth == 0 { first.to_owned() } else { first.to_uppercase() });
        camel.push_str(rest);
    }
    vec![camel, name.replace('-', "_")]
}

impl Kind {
    /// The object inside, if there is one.
    pub(super) fn object(&self) -> Option<&'static Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::List(kind) | Self::Named(kind) | Self::Names(_, kind) | Self::Some(kind) => {
                kind.object()
            }
            _ => None,
        }
    }

    fn schema(&self) -> Value {
        let text =
            |pattern: &str| json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") });
        match self {
            Self::Flag => json!({ "anyOf": [
                { "type": "boolean" }, text("^([tT]rue|[fF]alse|yes|no|on|off)$"),
            ] }),
            Self::FlagOr(names) => json!({ "anyOf": [Self::Flag.schema(), { "enum": names }] }),
            Self::Ratio => json!({ "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 }, text("^[01](\\.[0-9]*)?$"),
            ] }),
            Self::Whole(least, most) => whole(*least, *most),
            Self::Limit(most) => json!({ "anyOf": [whole(1, *most), { "const": "unlimited" }] }),
            Self::Number => json!({ "anyOf": [
                { "type": "number", "exclusiveMinimum": 0 }, text("^[0-9.]+$"),
            ] }),
            Self::Duration => json!({ "anyOf": [
                { "type": "number", "minimum": 0 }, text("^[0-9.]+ *(ms|s|m|h)?$"),
            ] }),
            Self::Size => json!({ "anyOf": [
                { "type": "integer", "minimum": 1 }, text("^[0-9]+ *([kKmMgG][iI]?)?[bB]?$"),
            ] }),
            Self::Text => json!({ "type": ["string", "number", "boolean"] }),
            Self::OneOf(names) => json!({ "anyOf": [{ "enum": names }, text("^$a")] }),
            Self::Such(names) => json!({ "type": "string", "examples": names() }),
            Self::List(kind) => json!({ "type": "array", "items": kind.schema() }),
            Self::Some(kind) => json!({ "anyOf": [kind.schema(), Self::List(kind).schema()] }),
            Self::Named(kind) => json!({ "type": "object", "additionalProperties": kind.schema() }),
            Self::Names(names, kind) => json!({
                "type": "object", "propertyNames": { "enum": names() }, "additionalProperties": kind.schema(),
            }),
            Self::Models => json!({ "anyOf": [
                Self::List(&Self::Text).schema(), Self::Named(&Self::Text).schema(),
            ] }),
            Self::Object(object) => json!({ "$ref": format!("#/$defs/{}", object.name) }),
            Self::Foreign => json!({}),
        }
    }
}

fn whole(least: u64, most: u64) -> Value {
    let number = match most {
        u64::MAX => json!({ "type": "integer", "minimum": least }),
        _ => json!({ "type": "integer", "minimum": least, "maximum": most }),
    };
    json!({ "anyOf": [number, { "type": "string", "pattern": format!("^[0-9]+$|{VARIABLE}") }] })
}
