//! A small model of how texts speak that give an assistant orders, learnt from many (see `docs/src/detection.md`).
//!
//! It looks at windows of about 150 bytes and adds up a weight for each word and pair of words in it: no multiplication of
//! matrices, no allocation for a feature, a few microseconds for a KiB.

mod features;
mod judged;
mod model;
mod scan;
mod words;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use features::CELL;
pub use features::Scratch;
pub use judged::Judged;
pub use model::{Head, Model, ModelError, Scale};
pub(crate) use scan::{Scan, Scanned};

use crate::Kind;

/// A model, made ready.
#[derive(Debug)]
pub struct Classifier {
    model: Model,
    /// For each head, what each of the 256 weights stands for.
    worth: Vec<[f32; 256]>,
}

/// What one window of a text is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Its bytes.
    pub range: Range<usize>,
    /// How much it speaks like an attack; higher is worse.
    pub raw: f32,
}

/// What a text is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Highest {
    /// As much as the highest of the windows that were looked at closely.
    pub raw: f32,
    /// What single words say of its highest window.
    pub words: f32,
    /// How many windows were looked at closely.
    pub looked_at: usize,
    /// How many there are; none in a text without words.
    pub windows: usize,
}

/// What a cell is worth, which is half a window.
#[derive(Debug, Default)]
struct Cell {
    range: Range<usize>,
    sum: f32,
    count: usize,
}

impl Cell {
    /// The window of this cell and nothing else.
    fn alone(&self, bias: f32) -> Window {
        self.with(&Cell { range: self.range.clone(), sum: 0.0, count: 0 }, bias)
    }

    /// The window of this cell and the next one.
    fn with(&self, next: &Cell, bias: f32) -> Window {
        #[expect(clippy::cast_precision_loss, reason = "a window holds a few hundred")]
        let root = ((self.count + next.count).max(1) as f32).sqrt();
        Window { range: self.range.start..next.range.end, raw: bias + (self.sum + next.sum) / root }
    }
}

thread_local! {
    /// What is needed while a text is looked at; what it holds from the text before changes nothing.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What was learnt, as the trainer wrote it.
static FILE: &[u8] = include_bytes!("../../model/classifier.bin");

/// Made ready when it is needed first.
static BUILT_IN: LazyLock<Option<Arc<Classifier>>> =
    LazyLock::new(|| Model::read(FILE).ok().map(|model| Arc::new(Classifier::new(model))));

impl Classifier {
    /// The classifier that is built in. A test holds that there is one.
    #[must_use]
    pub fn built_in() -> Option<Arc<Classifier>> {
        BUILT_IN.clone()
    }

    /// Makes a model ready.
    #[must_use]
    pub fn new(model: Model) -> Classifier {
        Classifier { worth: model.heads.iter().map(worth).collect(), model }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What the windows of a text of that kind are worth, in the order of the text.
    #[must_use]
    pub fn windows(&self, text: &str, kind: Kind) -> Vec<Window> {
        let mut windows = Vec::new();
        self.add_windows(text, 0..text.len(), kind, &mut windows);
        windows
    }

    /// What a text of that kind is worth where those windows are looked at only that a scan of its single words points at.
    #[must_use]
    pub fn highest(&self, text: &str, kind: Kind) -> Highest {
        let scanned = self.scan(kind, None).map(|scan| scan.of(text)).unwrap_or_default();
        self.highest_of(text, kind, &scanned)
    }

    /// A scan of a text of that kind; see [`Scan::new`].
    pub(crate) fn scan(&self, kind: Kind, threshold: Option<f32>) -> Option<Scan<'_>> {
        Scan::new(self, kind, threshold)
    }

    /// The same of a text of which a scan has told where it is worth looking.
    pub(crate) fn highest_of(&self, text: &str, kind: Kind, scanned: &Scanned) -> Highest {
        let mut windows = Vec::new();
        for part in &scanned.pointed {
            let part = marks_start(text, part.start)..marks_end(text, part.end);
            self.add_windows(text, part, kind, &mut windows);
        }
        let raw = windows.iter().map(|window| window.raw).fold(f32::MIN, f32::max);
        Highest { raw, words: scanned.highest, looked_at: windows.len(), windows: scanned.windows }
    }

    fn add_windows(&self, text: &str, part: Range<usize>, kind: Kind, windows: &mut Vec<Window>) {
        let index = self.model.scale(kind).head as usize;
        let (Some(head), Some(worth)) = (self.model.heads.get(index), self.worth.get(index)) else { return };
        let shift = 32 - self.model.bits;
        let already = windows.len();
        let mut before: Option<Cell> = None;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.cells_of(text, part, |range, ids| {
                let weight = |id: &u32| head.weights.get((id >> shift) as usize).copied().unwrap_or(0);
                let value = |id: &u32| worth.get(usize::from(weight(id))).copied().unwrap_or(0.0);
                let sum = add(ids, value);
                let cell = Cell { range, sum, count: ids.len() };
                if let Some(before) = &before {
                    windows.push(before.with(&cell, head.bias));
                }
                before = Some(cell);
            });
        });
        // A text of one cell is a window.
        if let (Some(only), true) = (before, windows.len() == already) {
            windows.push(only.alone(head.bias));
        }
    }

    /// How likely it is, from 0 to 1, that a text of that kind whose windows are these gives an assistant orders.
    #[must_use]
    pub fn probability(&self, windows: &[Window], kind: Kind) -> f32 {
        let raw = windows.iter().map(|window| window.raw).fold(f32::MIN, f32::max);
        if windows.is_empty() { 0.0 } else { self.model.probability(kind, raw, windows.len()) }
    }
}

/// The end of the marks that follow a word: they say as much about it as what stands before it.
fn marks_end(text: &str, end: usize) -> usize {
    let rest = text.get(end..).unwrap_or_default();
    let marks = rest.char_indices().take(CELL).take_while(|(_, c)| !c.is_alphanumeric());
    marks.last().map_or(end, |(at, c)| end + at + c.len_utf8())
}

/// The beginning of the marks before the first word of a text; what is before another one belongs to what it follows.
fn marks_start(text: &str, start: usize) -> usize {
    let before = text.get(..start).filter(|before| before.len() < CELL);
    if before.is_some_and(|before| !before.contains(char::is_alphanumeric)) { 0 } else { start }
}

/// What each of the 256 weights of a head stands for.
fn worth(head: &Head) -> [f32; 256] {
    std::array::from_fn(|index| {
        // In the order of the bytes: 0 to 127, then -128 to -1.
        let weight = i8::from_le_bytes([u8::try_from(index).unwrap_or_default()]);
        let share = f32::from(weight) / 127.0;
        share * share.abs() * head.largest
    })
}

/// The sum of what each is worth, as four sums none of which waits for another.
fn add(ids: &[u32], value: impl Fn(&u32) -> f32) -> f32 {
    let (fours, rest) = ids.as_chunks();
    let [a, b, c, d] = fours.iter().fold([0.0; 4], |[a, b, c, d], four: &[u32; 4]| {
        let [e, f, g, h] = four.each_ref().map(&value);
        [a + e, b + f, c + g, d + h]
    });
    a + b + c + d + rest.iter().map(value).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_that_is_built_in_is_one() {
        let model = Model::read(FILE).unwrap();
        assert!(FILE.len() < 4 << 20);
        assert_eq!(model.write(), FILE);
        for kind in Kind::ALL {
            let scale = model.scale(kind);
            assert!(0.5 < scale.wary && scale.wary < scale.sure && scale.sure < 1.0, "{kind:?}: {scale:?}");
        }
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let whole = Model::read(FILE).unwrap().write();
        let read = |bytes: Vec<u8>| Model::read(bytes.leak());
        assert_eq!(Model::read(b""), Err(ModelError::Form));
        assert_eq!(read(whole.get(..whole.len() - 1).unwrap().to_vec()), Err(ModelError::Length));
        assert_eq!(read([&*whole, b"x"].concat()), Err(ModelError::Length));
        let with = |at: usize, bytes: [u8; 4]| {
            let mut other = whole.clone();
            other[at..at + 4].copy_from_slice(&bytes);
            read(other)
        };
        assert_eq!(with(8, 31_u32.to_le_bytes()), Err(ModelError::Number));
        assert_eq!(with(12, 0_u32.to_le_bytes()), Err(ModelError::Number));
        assert_eq!(with(16, 9_u32.to_le_bytes()), Err(ModelError::Number));
        assert_eq!(with(20, f32::NAN.to_le_bytes()), Err(ModelError::Number));
    }
}
