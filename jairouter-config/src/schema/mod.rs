//! The configuration as a JSON Schema, for editors.

mod kind;
mod model;
mod server;

use serde_json::{Value, json};

use kind::Object;

/// The schema, of JSON Schema's draft 2020-12.
pub fn schema() -> Value {
    let mut definitions = json!({});
    for object in objects() {
        definitions[object.name] = object.schema();
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "JAiRouter",
        "description": "The configuration of the inference gateway JAiRouter. ${NAME:default} is taken from the \
                        environment in any value.",
        "$ref": format!("#/$defs/{}", server::ROOT.name),
        "$defs": definitions,
    })
}

/// Every object, each once.
fn objects() -> Vec<&'static Object> {
    let mut found: Vec<&'static Object> = vec![&server::ROOT];
    let mut next = 0;
    while let Some(object) = found.get(next) {
        for inner in object.all().filter_map(|key| key.1.object()) {
            if !found.iter().any(|known| known.name == inner.name) {
                found.push(inner);
            }
        }
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests;
