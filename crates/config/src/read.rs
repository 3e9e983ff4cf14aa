//! Reads a tree into a type and reports every problem, not just the first: what is wrong is left out and it tries again.

use serde::de::DeserializeOwned;
use toml::de::{DeValue, ValueDeserializer};

use crate::problems::Problems;
use crate::suggest;
use crate::tree::{self, Node, Place};

/// Problems after which it is better to repair the file and look again.
const ENOUGH: usize = 100;

/// The value of `node`, which stands at `path` of the file, without the entries that are wrong.
pub(crate) fn read<T: DeserializeOwned>(node: &Node<'_>, path: &[&str], problems: &mut Problems) -> Option<T> {
    let mut node = node.clone();
    for _ in 0..ENOUGH {
        let error = match T::deserialize(ValueDeserializer::from(node.clone())) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let place = error.span().unwrap_or_else(|| node.span());
        let entry = tree::locate(&node, &place);
        let whole: Vec<_> = path.iter().map(|&key| key.to_owned()).chain(entry.iter().flatten().cloned()).collect();
        let choices = error.message().starts_with(NO_WORD).then(|| choices::<T>(&node, &place)).flatten();
        let (message, help) = match choices {
            Some(choices) => (format!("expected {choices}"), Some("as a text, in quotation marks".to_owned())),
            None => suggest::rewrite(error.message(), &whole),
        };
        problems.error(place, message).help = help;
        problems.leave_out(whole);
        if !entry.is_some_and(|entry| tree::remove(&mut node, &entry)) {
            return None;
        }
    }
    None
}

/// How a value is refused where one of a few words belongs.
const NO_WORD: &str = "wanted string or table";

/// The words that are possible in the place of that value, as they are listed where a word is none of them.
fn choices<T: DeserializeOwned>(node: &Node<'_>, place: &Place) -> Option<String> {
    let mut node = node.clone();
    *tree::at_place(&mut node, place)?.get_mut() = DeValue::String("".into());
    let error = T::deserialize(ValueDeserializer::from(node)).err()?;
    let (_, expected) = error.message().strip_prefix("unknown variant `")?.split_once("`, expected ")?;
    Some(expected.to_owned())
}
