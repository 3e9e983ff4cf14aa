//! What the arguments of a call name, for whoever allows a tool some places and no other: all of it, whatever it looks like.

use bartizan_mcp::{NodeKind, Value};

use crate::normal;
use crate::role::{self, Named, Role};
use crate::values;

/// A text or a number in the arguments of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The names on the way to it.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Whether its name says that something goes there.
    pub is_destination: bool,
    /// Whether it names a file: its name says so, or it looks like the path of one.
    pub is_path: bool,
    /// Whether its name says that this is a folder.
    pub is_folder: bool,
}

/// One of several places that a text names, as in a list of recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// All of it, as it is compared.
    pub whole: String,
    /// The addresses and numbers in it, as they are compared, if they are all there is beside a name: `Bob <bob@corp.example>`.
    pub values: Vec<String>,
}

/// All texts and numbers of the arguments, and the names in them that look like addresses.
#[must_use]
pub fn leaves(arguments: Value<'_>) -> Vec<Leaf> {
    let mut all = Vec::new();
    collect(arguments, &mut Vec::new(), &mut all);
    all
}

fn collect<'a>(value: Value<'a>, path: &mut Vec<std::borrow::Cow<'a, str>>, all: &mut Vec<Leaf>) {
    match value.kind() {
        NodeKind::Object => {
            for (key, value) in value.members() {
                let name = key.text();
                if name.contains(['@', '/']) {
                    let (path, text) = (path.join("."), name.to_string());
                    all.push(Leaf { path, text, is_destination: true, is_path: false, is_folder: false });
                }
                path.push(name);
                collect(value, path, all);
                path.pop();
            }
        }
        NodeKind::Array => value.elements().for_each(|element| collect(element, path, all)),
        NodeKind::String => all.push(leaf(path, value.text().into_owned())),
        NodeKind::Number => all.push(leaf(path, value.raw().to_owned())),
        _ => {}
    }
}

fn leaf(path: &[std::borrow::Cow<'_, str>], text: String) -> Leaf {
    let names: Vec<&str> = path.iter().map(|name| &**name).collect();
    let is_url = text.contains("://");
    let looks = text.contains(['/', '\\']) && !is_url && role::of(&names, &text) != Role::Content;
    let last = role::of_last(&names);
    let is_path = role::is_path(&last) || looks;
    let is_destination = role::of(&names, "") == Role::Destination;
    Leaf { path: names.join("."), is_destination, is_path, is_folder: role::is_folder(&last), text }
}

/// Those that name what goes along with a call of that tool: a file that is attached, or what is shared by its id.
#[must_use]
pub fn attached(tool: &str, arguments: Value<'_>) -> Vec<Leaf> {
    let hands_over = role::hands_over(tool);
    let is_attached = |leaf: &Leaf| Named::of(&leaf.path.split('.').collect::<Vec<_>>()).attached(hands_over).is_some();
    leaves(arguments).into_iter().filter(is_attached).collect()
}

/// Whether calls of a tool with this definition name files or folders, as the names of its arguments say.
#[must_use]
pub fn takes_paths(tool: Value<'_>) -> bool {
    let own = tool.at(&["inputSchema", "properties"]).into_iter().flat_map(Value::members);
    own.take(MOST_ARGUMENTS).any(|(name, _)| role::is_path(&role::of_last(&[&name.text()])))
}

/// Arguments of a definition that are looked at; honest tools have fewer.
const MOST_ARGUMENTS: usize = 64;

/// The places that a text names, each by itself.
#[must_use]
pub fn places(text: &str) -> Vec<Place> {
    let pieces = text.split([',', ';', '\n']).map(str::trim).filter(|piece| !piece.is_empty());
    pieces.map(place).collect()
}

fn place(piece: &str) -> Place {
    let found = values::of(piece);
    let covers = found.iter().any(|value| value.span.len() + 2 >= piece.len());
    let is_named = piece.ends_with('>') && piece.matches('<').count() == 1 && found.len() == 1;
    let values = if covers || is_named { found.into_iter().map(|value| value.normal).collect() } else { Vec::new() };
    // What is too long to be compared is no place that anybody has allowed.
    Place { whole: normal::of_text(piece).unwrap_or_default(), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_a_text_is_told() {
        let of = |text: &str| places(text).into_iter().map(|place| (place.whole, place.values)).collect::<Vec<_>>();
        let strings = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (text, expected) in [
            ("bob@corp.example", vec![("bob@corp.example", vec!["bob@corp.example"])]),
            ("Bob <bob@corp.example>", vec![("bob <bob@corp.example", vec!["bob@corp.example"])]),
            ("bob@corp.example, eve", vec![("bob@corp.example", vec!["bob@corp.example"]), ("eve", vec![])]),
            ("bob@corp.example eve", vec![("bob@corp.example eve", vec![])]),
            ("<bob@corp.example> <eve@evil.example>", vec![("bob@corp.example> <eve@evil.example", vec![])]),
            ("ed", vec![("ed", vec![])]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(whole, values)| (whole.to_owned(), strings(&values))).collect();
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(of(&"x".repeat(300)), [(String::new(), Vec::new())]);
    }
}
