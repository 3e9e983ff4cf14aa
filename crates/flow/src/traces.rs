//! Where the values of a call were before, as it is handed in as evidence.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::memory::Source;
use crate::role::Role;

/// Where a value of a call was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In no result: it counts as the user's, or as what the model knows.
    Unseen,
    /// In no result that is remembered, and not all are.
    Forgotten,
    /// In no result before the client named it: it counts as the user's.
    Client,
    /// In a result that is trusted, by its number among [`Traces::sources`].
    Trusted(usize),
    /// In a field of its own in a result that is not.
    Field(usize),
    /// In prose of a result in which it does not stand alone: whoever wrote that names it.
    Prose(usize),
}

/// A value of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// The names on the way to its argument.
    pub path: Box<str>,
    /// What the argument is for.
    pub role: Role,
    /// Where it stands in the text of the argument.
    pub span: Range<usize>,
    /// As it is compared.
    pub value: Box<str>,
    /// Whether it is an address of the web that is asked for.
    pub is_url: bool,
    /// Whether its form alone says that it names something, as ids do and words do not.
    pub is_id: bool,
    /// Where it was before.
    pub origin: Origin,
    /// In which private result it was, if in one.
    pub private: Option<usize>,
    /// Whether it is in what was read as the very item that the call answers.
    #[serde(default)]
    pub is_answer: bool,
    /// Whether it names what goes along with the call: a file, or something by its id.
    #[serde(default)]
    pub is_attached: bool,
}

/// A piece of a private result in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The names on the way to the argument.
    pub path: Box<str>,
    /// Where it stands in the text of the argument.
    pub span: Range<usize>,
    /// How many words it has.
    pub words: usize,
    /// Where it was before, by its number among [`Traces::sources`].
    pub source: usize,
}

/// Where all values of a call were before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// Its values, as far as they could name something.
    pub values: Vec<Traced>,
    /// Pieces of private results.
    pub overlaps: Vec<Overlap>,
    /// The results that are named.
    pub sources: Vec<Source>,
    /// What was read as the very item that the call answers, by its number among [`Traces::sources`].
    #[serde(default)]
    pub answered: Vec<usize>,
    /// Whether it says which thing is meant, as with an id.
    pub has_target: bool,
    /// Whether it says that something is for everybody.
    pub publishes: bool,
    /// Whether anything is said in it.
    pub has_content: bool,
    /// Whether it holds more than was looked at.
    pub cut: bool,
}
