//! The recorded exchanges.

use bytes::Bytes;
use serde_json::{Value, json};

pub(crate) fn fixture(file: &Value) -> Bytes {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");
    std::fs::read(format!("{folder}{}", file.as_str().unwrap())).unwrap().into()
}

pub(crate) fn rows() -> Vec<Value> {
    serde_json::from_slice(&fixture(&json!("index.json"))).unwrap()
}
