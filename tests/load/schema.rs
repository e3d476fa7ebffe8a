//! The part of JSON Schema that `docs/load.schema.json` uses.

use serde_json::Value;

/// Checks `value`; the error names the first place that breaks the schema.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    check_at("$", schema, schema, value)
}

fn check_at(path: &str, root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let valid = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|to| to.strip_prefix('#'));
                let target = pointer.and_then(|to| root.pointer(to));
                let target = target.unwrap_or_else(|| panic!("{rule} leads nowhere"));
                check_at(path, root, target, value)?;
                true
            }
            "type" => types(rule).any(|name| is_type(name, value)),
            "enum" => rule.as_array().expect("a list").contains(value),
            "const" => rule == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| Some(number) >= rule.as_f64()),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= number(rule)),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= number(rule)),
            "required" => rule.as_array().expect("a list").iter().all(|name| {
                let name = name.as_str().expect("a name");
                value
                    .as_object()
                    .is_none_or(|object| object.contains_key(name))
            }),
            "properties" => check_properties(path, root, rule, value).map(|()| true)?,
            "additionalProperties" => check_no_others(path, schema, rule, value).map(|()| true)?,
            "items" => check_items(path, root, rule, value).map(|()| true)?,
            _ => panic!("{keyword} is not understood by this checker"),
        };
        if !valid {
            return Err(format!("{path} breaks {keyword} {rule}: {value}"));
        }
    }
    Ok(())
}

fn check_properties(path: &str, root: &Value, rule: &Value, value: &Value) -> Result<(), String> {
    for (name, schema) in rule.as_object().expect("an object") {
        if let Some(value) = value.get(name) {
            check_at(&format!("{path}.{name}"), root, schema, value)?;
        }
    }
    Ok(())
}

fn check_no_others(path: &str, schema: &Value, rule: &Value, value: &Value) -> Result<(), String> {
    assert_eq!(rule, false, "only `false` is understood");
    let known = schema["properties"].as_object().expect("an object");
    for name in value
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
    {
        if !known.contains_key(name) {
            return Err(format!("{path}.{name} is not in the schema"));
        }
    }
    Ok(())
}

fn check_items(path: &str, root: &Value, rule: &Value, value: &Value) -> Result<(), String> {
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        check_at(&format!("{path}[{place}]"), root, rule, item)?;
    }
    Ok(())
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let single = rule.as_str();
    let several = rule.as_array().into_iter().flatten();
    single.into_iter().chain(several.filter_map(Value::as_str))
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        _ => panic!("there is no type {name}"),
    }
}

fn number(rule: &Value) -> u64 {
    rule.as_u64().expect("a whole number")
}

#[test]
fn value_that_breaks_a_schema_is_found() {
    use serde_json::json;
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["a"],
        "properties": {"a": {"$ref": "#/$defs/whole"}, "b": {"items": {"enum": ["x", null]}}},
        "$defs": {"whole": {"type": ["integer", "null"], "minimum": 0}},
    });
    for right in [json!({"a": 1}), json!({"a": null, "b": ["x", null]})] {
        assert_eq!(check(&schema, &right), Ok(()));
    }
    for wrong in [
        json!([]),
        json!({}),
        json!({"a": "1"}),
        json!({"a": -1}),
        json!({"a": 1.5}),
        json!({"a": 1, "b": ["y"]}),
        json!({"a": 1, "c": 1}),
    ] {
        assert!(check(&schema, &wrong).is_err(), "{wrong}");
    }
}
