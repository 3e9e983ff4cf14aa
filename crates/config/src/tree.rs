//! The file as a tree of values that know where they stand in the text.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// A value and its place.
pub(crate) type Node<'i> = Spanned<DeValue<'i>>;

/// A place in the text, in bytes.
pub(crate) type Place = Range<usize>;

/// The value under a path of keys; an array's elements go by their number.
pub(crate) fn get<'t, 'i>(root: &'t Node<'i>, path: &[&str]) -> Option<&'t Node<'i>> {
    path.iter().try_fold(root, |node, key| match node.get_ref() {
        DeValue::Table(table) => table.get(*key),
        DeValue::Array(array) => array.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The keys of the table under a path.
pub(crate) fn keys(root: &Node<'_>, path: &[&str]) -> Vec<String> {
    match get(root, path).map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().to_string()).collect(),
        _ => Vec::new(),
    }
}

/// Where the value under a path is; or where the nearest one around it is.
pub(crate) fn place(root: &Node<'_>, path: &[&str]) -> Place {
    (0..=path.len()).rev().find_map(|n| get(root, path.get(..n)?)).map_or(0..0, Spanned::span)
}

/// Where the key at the end of a path is.
pub(crate) fn key_place(root: &Node<'_>, path: &[&str]) -> Place {
    let found = path.split_last().and_then(|(key, parents)| {
        let DeValue::Table(table) = get(root, parents)?.get_ref() else { return None };
        Some(table.get_key_value(*key)?.0.span())
    });
    found.unwrap_or_else(|| place(root, path))
}

/// The entry of a table that stands at exactly this place, or that holds the array whose element does: as a path.
pub(crate) fn locate(root: &Node<'_>, place: &Place) -> Option<Vec<String>> {
    let mut path = Vec::new();
    find(root, place, &mut path, 0).map(|length| {
        path.truncate(length);
        path
    })
}

/// The length of the path to the entry; `owner` is the length of the path to the innermost entry so far.
fn find(node: &Node<'_>, place: &Place, path: &mut Vec<String>, owner: usize) -> Option<usize> {
    match node.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                path.push(key.get_ref().to_string());
                if key.span() == *place {
                    return Some(path.len());
                }
                let length = path.len();
                if let Some(found) = find(value, place, path, length) {
                    return Some(found);
                }
                path.pop();
            }
        }
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                path.push(index.to_string());
                if let Some(found) = find(value, place, path, owner) {
                    return Some(found);
                }
                path.pop();
            }
        }
        _ => {}
    }
    // After its children, because a table may share its place with the only table in it.
    (owner > 0 && node.span() == *place).then_some(owner)
}

/// The innermost value at exactly this place.
pub(crate) fn at_place<'t, 'i>(node: &'t mut Node<'i>, place: &Place) -> Option<&'t mut Node<'i>> {
    if node.span() == *place && !matches!(node.get_ref(), DeValue::Table(_)) {
        return Some(node);
    }
    match node.get_mut() {
        DeValue::Table(table) => table.iter_mut().find_map(|(_, value)| at_place(value, place)),
        DeValue::Array(array) => array.iter_mut().find_map(|value| at_place(value, place)),
        _ => None,
    }
}

/// Takes the entry at a path out of its table.
pub(crate) fn remove(root: &mut Node<'_>, path: &[String]) -> bool {
    let Some((key, parents)) = path.split_last() else { return false };
    let parent = parents.iter().try_fold(root, |node, key| match node.get_mut() {
        DeValue::Table(table) => table.get_mut(key.as_str()),
        DeValue::Array(array) => array.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    });
    let Some(DeValue::Table(table)) = parent.map(Spanned::get_mut) else { return false };
    table.remove(key.as_str()).is_some()
}

/// The entry of a table.
pub(crate) fn entry<'t, 'i>(node: &'t mut Node<'i>, key: &str) -> Option<&'t mut Node<'i>> {
    match node.get_mut() {
        DeValue::Table(table) => table.get_mut(key),
        _ => None,
    }
}

/// Takes all other entries out of a table.
pub(crate) fn keep_only(node: &mut Node<'_>, keys: &[&str]) {
    if let DeValue::Table(table) = node.get_mut() {
        let others = table.keys().map(|key| key.get_ref().to_string()).filter(|key| !keys.contains(&key.as_str()));
        for other in others.collect::<Vec<_>>() {
            table.remove(other.as_str());
        }
    }
}

/// The value as JSON; dates become texts.
pub(crate) fn to_json(node: &Node<'_>) -> serde_json::Value {
    use serde_json::Value;
    match node.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(moment) => Value::from(moment.to_string()),
        DeValue::Array(array) => array.iter().map(to_json).collect(),
        DeValue::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value))).collect())
        }
    }
}
