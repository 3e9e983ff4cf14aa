//! How many fields a model's file has, before anything is made of them: an empty message is two bytes in the file and some
//! hundred in memory.

use crate::Problem;

/// The most fields. A model of a hundred layers has some ten thousand nodes of about ten fields.
const MOST_FIELDS: usize = 2_000_000;

/// What is read further, by the numbers of the format: which field of a message holds which message.
#[derive(Clone, Copy)]
enum Holds {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
}

impl Holds {
    fn in_field(self, field: u64) -> Option<Holds> {
        match (self, field) {
            (Holds::Model, 7) => Some(Holds::Graph),
            (Holds::Graph, 1) => Some(Holds::Node),
            (Holds::Graph, 5) | (Holds::Attribute, 5 | 10) => Some(Holds::Tensor),
            (Holds::Graph, 11..=13) => Some(Holds::Value),
            (Holds::Node, 5) => Some(Holds::Attribute),
            // A type, its tensor and the shape of that hold one another without end; all they hold is counted.
            (Holds::Value, 2) | (Holds::Type, _) => Some(Holds::Type),
            _ => None,
        }
    }

    /// What no model for this has: training, functions, graphs and tensors of zeros.
    fn is_refused(self, field: u64) -> bool {
        matches!(
            (self, field),
            (Holds::Model, 20 | 25) | (Holds::Graph, 15) | (Holds::Attribute, 6 | 11 | 14 | 15 | 22 | 23)
        )
    }
}

/// # Errors
/// If it is no message of that format, or one of more fields than any model has.
pub(crate) fn check(file: &[u8]) -> Result<(), Problem> {
    let mut left = MOST_FIELDS;
    message(file, Holds::Model, &mut left, 0).map_err(|why| Problem::Model(why.to_owned()))
}

/// Deeper than any message of the format that is read.
const DEEPEST: usize = 16;

const BROKEN: &str = "it is cut off, or no ONNX at all";

fn message(mut rest: &[u8], holds: Holds, left: &mut usize, depth: usize) -> Result<(), &'static str> {
    while !rest.is_empty() {
        *left = left.checked_sub(1).ok_or("it has more fields than any model")?;
        let (key, after) = number(rest).ok_or(BROKEN)?;
        let skipped = match key & 7 {
            0 => number(after).map(|(_, after)| after),
            1 => after.get(8..),
            5 => after.get(4..),
            2 => {
                let (length, after) = number(after).ok_or(BROKEN)?;
                let length = usize::try_from(length).map_err(|_| BROKEN)?;
                let (held, after) = after.split_at_checked(length).ok_or(BROKEN)?;
                if holds.is_refused(key >> 3) {
                    return Err("it has parts within parts (loops, functions or training), which no classifier needs");
                }
                match holds.in_field(key >> 3) {
                    // What is so deep is refused by whoever reads it.
                    Some(inner) if depth < DEEPEST => match message(held, inner, left, depth + 1) {
                        // Names may stand where a type could.
                        Err(BROKEN) if matches!(holds, Holds::Type) => {}
                        checked => checked?,
                    },
                    _ => {}
                }
                Some(after)
            }
            _ => None,
        };
        rest = skipped.ok_or(BROKEN)?;
    }
    Ok(())
}

/// A number in groups of seven bits.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(at * 7).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_in_the_file_and_large_in_memory_is_refused() {
        // A graph of empty nodes.
        let nodes = [0x0a, 0x00].repeat(MOST_FIELDS + 1);
        let mut file = vec![0x3a];
        let mut length = nodes.len();
        while length > 0x7f {
            file.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        file.push(u8::try_from(length).unwrap());
        file.extend(nodes);
        assert!(check(&file).unwrap_err().to_string().contains("more fields"));
    }

    #[test]
    fn what_is_cut_off_or_within_itself_is_refused() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[0x08, 0x08]), Ok(()));
        for broken in [&[0x08][..], &[0x3a, 0x05, 0x00], &[0x0b], &[0xff; 12], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert!(check(broken).unwrap_err().to_string().contains("cut off"), "{broken:x?}");
        }
        // A graph with a node with an attribute with a graph.
        let loops = [0x3a, 6, 0x0a, 4, 0x2a, 2, 0x32, 0];
        assert!(check(&loops).unwrap_err().to_string().contains("parts within parts"));
    }
}
