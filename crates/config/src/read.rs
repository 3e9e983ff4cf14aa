//! Reads a tree into a type and reports every problem, not just the first: what is wrong is left out and it tries again.

use serde::de::DeserializeOwned;
use toml::de::ValueDeserializer;

use crate::problems::Problems;
use crate::suggest;
use crate::tree::{self, Node};

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
        let (message, help) = suggest::rewrite(error.message());
        let problem = problems.error(place.clone(), message);
        problem.help = help;
        let Some(entry) = tree::locate(&node, &place).filter(|entry| tree::remove(&mut node, entry)) else {
            problems.leave_out(path.iter().map(|&key| key.to_owned()).collect());
            return None;
        };
        problems.leave_out(path.iter().map(|&key| key.to_owned()).chain(entry).collect());
    }
    None
}
