use super::*;
use crate::schema::value;

#[test]
fn a_value_has_what_its_schema_requires() {
    let person = json!({
        "$defs": {"Name": {"type": "string"}},
        "type": "object", "required": ["name", "age"],
        "properties": {
            "name": {"$ref": "#/$defs/Name"},
            "age": {"anyOf": [{"type": "integer", "minimum": 18}, {"type": "null"}]},
        },
    });
    for (schema, expected) in [
        (json!(null), json!({})),
        (json!({}), json!({})),
        (json!({"type": "object", "properties": {"a": {}}}), json!({})),
        (json!({"required": ["a"]}), json!({"a": "simulated"})),
        (person, json!({"name": "simulated", "age": 18})),
        (json!({"const": [1]}), json!([1])),
        (json!({"type": "string", "enum": ["b", "c"]}), json!("b")),
        (json!({"type": ["string", "null"], "maxLength": 3}), json!("sim")),
        (json!({"type": "string", "minLength": 12}), json!("simulated si")),
        (json!({"type": "integer", "exclusiveMinimum": 2}), json!(3)),
        (json!({"type": "integer", "maximum": -0.5}), json!(-1)),
        (json!({"type": "integer", "minimum": 0.5}), json!(1)),
        (json!({"type": "number", "maximum": -2.5}), json!(-2.5)),
        (json!({"type": "array"}), json!([])),
        (
            json!({"type": "array", "minItems": 2, "items": {"type": "boolean"}}),
            json!([true, true]),
        ),
        (json!({"oneOf": [{"type": "null"}, {"type": "string"}]}), json!(null)),
    ] {
        assert_eq!(value(&schema), expected, "{schema}");
    }
}

#[test]
fn a_schema_that_asks_for_far_more_than_it_is_long_does_not_get_it() {
    let names: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let own: Value = names.iter().map(|name| (name.clone(), json!({"$ref": "#"}))).collect();
    let long = "x".repeat(100_000);
    for schema in [
        json!({"$ref": "#"}),
        json!({"required": names, "properties": own}),
        json!({"type": "array", "minItems": u64::MAX, "items": {"$ref": "#"}}),
        json!({"type": "array", "minItems": 1000, "items": {"const": long}}),
        json!({"type": "array", "minItems": 1000, "items": {"type": "string", "minLength": 1_u64 << 40}}),
    ] {
        let length = value(&schema).to_string().len();
        assert!(length < 2 << 20, "{length} bytes");
    }
}
