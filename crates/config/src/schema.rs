//! The published JSON Schema of the file, with the options of every guard.

use bartizan_guard::{GuardSpec, guards};
use bartizan_mcp::PartKind;
use serde_json::{Map, Value, json};

use crate::file::File;
use crate::guards::{Common, TOOL_RESULT};

/// The schema of the whole file.
pub(crate) fn schema() -> Value {
    let mut root = schemars::schema_for!(File).to_value();
    let mut definitions = take(&mut root, "$defs");
    let mut tables = Map::new();
    for spec in guards::ALL {
        tables.insert(spec.name.to_owned(), guard(spec, &mut definitions));
    }
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        let description = "What happens to the findings of each guard; a guard that is not named has its defaults.";
        let guards =
            json!({"description": description, "type": "object", "properties": tables, "additionalProperties": false});
        properties.insert("guard".to_owned(), guards);
    }
    if let Some(object) = root.as_object_mut() {
        object.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

/// The schema of one guard's table. Definitions move to the root, where the guard's own have its name in front.
fn guard(spec: &GuardSpec, definitions: &mut Map<String, Value>) -> Value {
    let mut common = schemars::schema_for!(Common).to_value();
    definitions.extend(take(&mut common, "$defs"));
    let mut properties = take(&mut common, "properties");

    let mut own = (spec.options)().to_value();
    let prefix = format!("{}.", spec.name);
    rename(&mut own, &prefix);
    for (name, definition) in take(&mut own, "$defs") {
        definitions.insert(format!("{prefix}{name}"), definition);
    }
    properties.extend(take(&mut own, "properties"));

    let action = json!({"$ref": "#/$defs/Action"});
    for kind in PartKind::ALL {
        let description = format!("The action for findings in parts of the kind `{}`.", kind.as_str());
        properties.insert(kind.as_str().to_owned(), described(&action, &description));
    }
    let description =
        "The action for findings in a tool's result: short for `content`, `structured_content` and `error`.";
    properties.insert(TOOL_RESULT.to_owned(), described(&action, description));
    json!({
        "description": spec.threat,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn described(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), description.into());
    }
    schema
}

fn take(schema: &mut Value, key: &str) -> Map<String, Value> {
    match schema.as_object_mut().and_then(|object| object.remove(key)) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Puts `prefix` in front of the name in every reference to a definition.
fn rename(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{prefix}{name}");
                        }
                    }
                    _ => rename(value, prefix),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, prefix)),
        _ => {}
    }
}
