#![cfg(test)]
//! Names in records, by what their fields are called, and records of other things, in which no field tells one.

use super::*;

/// The texts of a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(all) => all.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// What of the texts of a record is gone once names are hidden, said once as text and once as data.
fn gone(pipeline: &Pipeline, record: &Value, as_text: bool) -> Vec<String> {
    // As some write it, with escapes for all that is not ASCII.
    let escaped: String = record.to_string().chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) }).collect();
    let message = if as_text { result(&json!(format!("Found:\n{escaped}")), &json!({})) } else { result(&json!("ok"), &json!({"results": [record]})) };
    let edits = match judge(pipeline, &message, &[Evidence::Names(names())]).decision {
        Decision::Transform(edits) => edits,
        Decision::Allow => return Vec::new(),
        other => return vec![format!("{other:?} of {record}")],
    };
    let left: Value = serde_json::from_slice(&edits.apply(message.document())).unwrap();
    let left = match as_text {
        true => serde_json::from_str(left["result"]["content"][0]["text"].as_str().unwrap().split_once('\n').unwrap().1).unwrap(),
        false => left["result"]["structuredContent"].clone(),
    };
    let left = strings(&left);
    strings(record).into_iter().filter(|text| !left.contains(text)).map(str::to_owned).collect()
}

#[test]
fn names_are_told_by_their_fields_and_those_of_things_are_not() {
    let records: Vec<Value> = serde_json::from_str(include_str!("records.json")).unwrap();
    let held = GuardSettings {
        how: How::Pseudonymise,
        rules: [("personal_data.person_name".to_owned(), Action::Redact)].into(),
        ..GuardSettings::default()
    };
    let settings = Settings { guards: [(SPEC.name.to_owned(), held)].into(), ..Settings::default() };
    let pipeline = Pipeline::new(settings).unwrap();
    let (mut missed, mut there) = (Vec::new(), 0);
    for entry in &records {
        let names: Vec<String> = serde_json::from_value(entry["names"].clone()).unwrap();
        let text = entry["record"].to_string();
        let document = Document::parse(text, &Limits::default()).unwrap();
        let mut told: Vec<String> = fields::names(document.root()).iter().map(|(value, _)| value.text().into_owned()).collect();
        told.reverse();
        assert_eq!(told, strings(&entry["record"]).into_iter().filter(|text| names.iter().any(|name| name == text)).collect::<Vec<_>>());
        for as_text in [false, true] {
            let gone = gone(&pipeline, &entry["record"], as_text);
            there += names.len();
            missed.extend(names.iter().filter(|name| !gone.contains(name)).map(|name| (name.clone(), as_text)));
        }
    }
    assert!(records.len() >= 60 && there >= 60);
    assert!(missed.is_empty(), "{} of {there} are missed: {missed:?}", missed.len());
}
