//! A text as windows of tokens that overlap.

use std::ops::{ControlFlow, Range};

use tokenizers::{Encoding, PostProcessor, Tokenizer};

use crate::Problem;
use crate::said::said;

/// Bytes of a text that are made into tokens at once, so that memory does not depend on its length.
const PIECE: usize = 4096;
/// Bytes that two pieces share, so that what is at the end of one is whole in the next.
const SHARED: usize = 256;

/// One window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its tokens; as many as a window has.
    pub(crate) ids: Vec<i64>,
    /// Which of two texts they are of.
    pub(crate) types: Vec<i64>,
    /// One for each that is there, nothing for what fills the window.
    pub(crate) mask: Vec<i64>,
    /// The bytes of the text that it stands for.
    pub(crate) span: Range<usize>,
}

/// What makes windows of texts.
pub(crate) struct Windows {
    tokenizer: Tokenizer,
    /// Tokens in a window.
    length: usize,
    /// Those of the text, without what the model has around it.
    room: usize,
    /// What fills a window.
    pad: u32,
}

impl Windows {
    /// Reads `tokenizer.json`. `pad` is what fills a window if the tokenizer does not say.
    pub(crate) fn read(json: &[u8], length: usize, pad: Option<u32>) -> Result<Windows, Problem> {
        let problem = |why: String| Problem::Tokenizer(why);
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| problem(said(error)))?;
        let named = || ["[PAD]", "<pad>", "<|pad|>"].iter().find_map(|name| tokenizer.token_to_id(name));
        let pad = tokenizer.get_padding().map(|padding| padding.pad_id).or(pad).or_else(named).unwrap_or(0);
        // Windows are ours to make.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| problem(said(error)))?;
        // A text that spells a token which is for the model alone does not get it.
        tokenizer.set_encode_special_tokens(true);
        let around = tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false));
        let room = length.checked_sub(around).filter(|room| *room > 1);
        let room =
            room.ok_or_else(|| problem(format!("it puts {around} tokens around a text, and a window has {length}")))?;
        Ok(Windows { tokenizer, length, room, pad })
    }

    /// The largest number that stands for a token.
    pub(crate) fn largest(&self) -> u32 {
        let vocabulary = self.tokenizer.get_vocab(true);
        vocabulary.into_values().max().unwrap_or(0).max(self.pad)
    }

    /// Hands each window to `each` until that breaks off, and says whether all were handed over.
    pub(crate) fn of<E>(
        &self,
        text: &str,
        mut each: impl FnMut(Window) -> Result<ControlFlow<()>, E>,
    ) -> Result<bool, E>
    where
        E: From<Problem>,
    {
        for (start, piece) in pieces(text) {
            let failed = |error: tokenizers::Error| Problem::Run(format!("its tokenizer: {}", said(error)));
            let mut encoding = self.tokenizer.encode(piece, false).map_err(failed)?;
            let stride = self.room / 2;
            encoding.truncate(self.room, stride, tokenizers::TruncationDirection::Right);
            let others = encoding.take_overflowing();
            for encoding in std::iter::once(encoding).chain(others) {
                let span = covered(&encoding, piece);
                let whole = self.tokenizer.post_process(encoding, None, true).map_err(failed)?;
                let window = self.window(&whole, start + span.start..start + span.end)?;
                if each(window)?.is_break() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The window of an encoding, filled up.
    fn window(&self, encoding: &Encoding, span: Range<usize>) -> Result<Window, Problem> {
        if encoding.get_ids().len() > self.length {
            return Err(Problem::Run("its tokenizer puts more around a text than it says".to_owned()));
        }
        let filled = |values: &[u32], fill: u32| -> Vec<i64> {
            values.iter().copied().chain(std::iter::repeat(fill)).take(self.length).map(i64::from).collect()
        };
        let mask = vec![1; encoding.get_ids().len()];
        Ok(Window {
            ids: filled(encoding.get_ids(), self.pad),
            types: filled(encoding.get_type_ids(), 0),
            mask: filled(&mask, 0),
            span,
        })
    }
}

/// The bytes of a piece that an encoding stands for. What a tokenizer says of that is not relied on.
fn covered(encoding: &Encoding, piece: &str) -> Range<usize> {
    let offsets = encoding.get_offsets();
    let start = offsets.iter().map(|(start, _)| *start).min().unwrap_or(0).min(piece.len());
    let end = offsets.iter().map(|(_, end)| *end).max().unwrap_or(0).min(piece.len());
    piece.floor_char_boundary(start)..piece.ceil_char_boundary(end.max(start))
}

/// Pieces of a text that share some bytes, and where they begin. Even a text of nothing has one.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = text.floor_char_boundary(start + PIECE);
        let rest = text.get(start..end)?;
        // Between words, if there are any.
        let cut = rest.rfind(char::is_whitespace).filter(|at| end < text.len() && *at > PIECE - SHARED);
        let end = start + cut.unwrap_or(rest.len());
        next = (end < text.len()).then(|| {
            let back = text.floor_char_boundary(end.saturating_sub(SHARED));
            let between = text.get(back..end).and_then(|shared| shared.find(char::is_whitespace));
            back + between.unwrap_or(0)
        });
        Some((start, text.get(start..end)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_bounded_and_leave_nothing_out() {
        let words = "one two three ".repeat(3000);
        let solid = "x".repeat(20_000);
        let wide = "ä€😀".repeat(3000);
        for text in ["", "a", &words, &solid, &wide, &" ".repeat(9000)] {
            let mut reached = 0;
            for (start, piece) in pieces(text) {
                assert!(piece.len() <= PIECE && start <= reached, "{start} {reached}");
                assert!(start + piece.len() > reached || text.is_empty(), "no step on");
                reached = start + piece.len();
            }
            assert_eq!(reached, text.len());
        }
        let cut: Vec<_> = pieces(&words).collect();
        assert!(cut.iter().all(|(_, piece)| piece.ends_with(|c: char| !c.is_whitespace()) || words.ends_with(*piece)));
    }
}
