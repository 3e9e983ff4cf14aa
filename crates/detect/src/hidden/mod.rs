//! Finds text that a person does not see and a model does.
//!
//! What looks the same but has a right to be there passes: joiners inside emoji and in the scripts that need them,
//! controls of direction in paragraphs that need them, one variation selector after a character that
//! has variants, flags spelled with tag characters. Each of these could carry a bit or more, so only as many pass as
//! honest texts have.
//!
//! Characters are judged by their neighbours that stay, so a text from which everything found has been taken away
//! holds nothing more to find.

mod characters;
pub(crate) mod class;
mod code;
mod decode;
mod definition;
mod direction;
mod elements;
mod markup;
mod prose;
mod script;
pub(crate) mod skip;
mod terminal;

use std::ops::Range;

/// How something is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Tag characters, an invisible copy of ASCII.
    Tags,
    /// Characters without width.
    ZeroWidth,
    /// One of these alone, between two characters that are seen: where a line may or may not break, for instance.
    Stray,
    /// Controls that make text show in another order than it has.
    Bidi,
    /// Variation selectors that select no variant.
    Variation,
    /// Terminal escape sequences and control characters.
    Terminal,
    /// Carriage returns and backspaces by which later text covers earlier text.
    Overwrite,
    /// Format characters that nobody should use any more, or not so.
    Format,
    /// Comments in HTML and Markdown.
    Comment,
    /// HTML elements that are not shown.
    Invisible,
    /// Text in a definition that nobody sees.
    Unseen,
    /// Text in a definition that some readers of markup do not show.
    Faint,
    /// An element that is named in a definition and not closed: it is talked about, or hides all that follows.
    Unclosed,
    /// All that follows the first [`MAX_CHARACTERS`] hidden places; no honest text has so many.
    Flood,
}

/// Places with hidden characters that are told apart in one text.
pub const MAX_CHARACTERS: usize = 65_536;

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 14] = [
        Kind::Tags,
        Kind::ZeroWidth,
        Kind::Stray,
        Kind::Bidi,
        Kind::Variation,
        Kind::Terminal,
        Kind::Overwrite,
        Kind::Format,
        Kind::Comment,
        Kind::Invisible,
        Kind::Unseen,
        Kind::Faint,
        Kind::Unclosed,
        Kind::Flood,
    ];
}

/// Something hidden, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// How it is hidden.
    pub kind: Kind,
    /// Its bytes; neighbours of one kind are one.
    pub span: Range<usize>,
}

impl Hidden {
    /// Characters that [`Hidden::decoded`] gives at most.
    pub const MAX_DECODED: usize = 256;

    /// What it says, if that can be told; at most [`Hidden::MAX_DECODED`] characters. `text` is the one it was found in.
    #[must_use]
    pub fn decoded(&self, text: &str) -> Option<String> {
        decode::decode(self.kind, text.get(self.span.clone())?)
    }
}

/// Finds everything hidden in a text of a definition, in its order: what [`find`] does, and what is not seen of it
/// because it is markup, which no definition needs, or behind a great deal of blank space.
#[must_use]
pub fn find_in_definition(text: &str) -> Vec<Hidden> {
    let mut found = find(text);
    definition::find(text, &mut found);
    found.sort_by_key(|hidden| hidden.span.start);
    found
}

/// Finds everything hidden in `text`, in its order.
///
/// Spans of the kinds that are characters never overlap one another; comments and elements may hold such spans.
#[must_use]
pub fn find(text: &str) -> Vec<Hidden> {
    let mut found = Vec::new();
    if skip::plain(text.as_bytes()) {
        markup::references(text, &mut found);
        return found;
    }
    characters::find(text, &mut found);
    let characters = found.len();
    markup::elements(text, &mut found);
    markup::references(text, &mut found);
    if found.len() > characters {
        found.sort_by_key(|hidden| hidden.span.start);
    }
    found
}
