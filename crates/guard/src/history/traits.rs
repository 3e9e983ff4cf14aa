//! What one reply looks like, in a few numbers.

use std::collections::BTreeSet;

use bartizan_mcp::{NodeKind, Value};
use memchr::memmem;

use super::orders;
use crate::Event;

/// What one reply looks like. Linear in its length, and of most of it nothing is read but the length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    pub(super) is_error: bool,
    /// Bytes of all of it.
    pub(super) size: u32,
    /// Sixteenths of a bit for each byte, where there are enough of them to tell.
    pub(super) entropy: Option<u8>,
    /// Scripts of which a good part of the letters is.
    pub(super) scripts: Vec<u8>,
    /// Digests of the hosts that links lead to.
    pub(super) hosts: Vec<u64>,
    /// Digests of the paths of its members, each with the type of what is there.
    pub(super) shape: Vec<u64>,
    /// How likely the rules think it that it gives orders, in tenths.
    pub(super) score: u8,
}

/// Bytes of text that are looked at.
const READ: usize = 64 * 1024;
/// Bytes of text in which orders are looked for: the guard that is there for that looks at all.
const JUDGED: usize = 16 * 1024;
/// Fewer bytes have no entropy to speak of, and fewer letters no script.
const DENSE: usize = 512;
const LETTERS: usize = 40;
/// Hosts and paths of one reply; of what has more these are enough.
const HOSTS: usize = 32;
const PATHS: usize = 96;
/// Values of one reply that are gone through for their shape.
const VALUES: usize = 4096;

impl Traits {
    /// Of a result, of what a server asks the client's model, or of what that answers.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Option<Traits> {
        let message = event.message;
        let body = message.result().or_else(|| message.error()).or_else(|| message.params())?;
        let mut texts = Vec::new();
        let (mut size, mut is_brought) = (0, false);
        for answer in super::brought(message) {
            texts_in(answer, &mut texts);
            (size, is_brought) = (size + answer.raw().len(), true);
        }
        if !is_brought {
            texts_in(body, &mut texts);
            size = body.raw().len();
        }
        let (mut text, mut score, mut left) = (String::new(), 0, JUDGED);
        for part in texts {
            let (part, value) = (part.text(), part);
            score = score.max(orders::of(&part, || value.digest(), &mut left));
            let room = READ.saturating_sub(text.len() + 1);
            text.push_str(part.get(..part.floor_char_boundary(room)).unwrap_or_default());
            text.push('\n');
        }
        let is_error = message.error().is_some() || body.get("isError").is_some_and(|held| held.raw() == "true");
        Some(Traits {
            is_error,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            entropy: entropy(text.as_bytes()),
            scripts: scripts(&text),
            hosts: hosts(&text),
            shape: shape(body, &text),
            score,
        })
    }
}

/// Texts for the model, wherever results and questions have them.
fn texts_in<'e>(body: Value<'e>, texts: &mut Vec<Value<'e>>) {
    const TEXTS: [&str; 3] = ["text", "systemPrompt", "message"];
    const WITHIN: [&str; 5] = ["content", "contents", "messages", "resource", "result"];
    let mut open = vec![body];
    while let Some(value) = open.pop() {
        texts.extend(TEXTS.iter().filter_map(|name| value.get(name)).filter(|text| text.kind() == NodeKind::String));
        open.extend(WITHIN.iter().filter_map(|name| value.get(name)));
        open.extend(value.elements());
    }
}

#[expect(clippy::cast_precision_loss, reason = "of counts up to the bytes that are read")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 128")]
fn entropy(bytes: &[u8]) -> Option<u8> {
    if bytes.len() < DENSE {
        return None;
    }
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts.get_mut(usize::from(*byte)).into_iter().for_each(|count| *count += 1);
    }
    let all = bytes.len() as f32;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| *count as f32 / all);
    let bits: f32 = shares.map(|share| -share * share.log2()).sum();
    Some((bits * 16.0) as u8)
}

/// The scripts that a fifth of the letters are of.
fn scripts(text: &str) -> Vec<u8> {
    let mut counts = [0_usize; 16];
    // Most texts have no others, and these are counted many at a time.
    counts[0] = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let others = if text.is_ascii() { "" } else { text };
    for script in others.chars().filter(|c| !c.is_ascii()).filter_map(script) {
        counts.get_mut(usize::from(script)).into_iter().for_each(|count| *count += 1);
    }
    let all: usize = counts.iter().sum();
    let many = (0..16).zip(counts).filter(|(_, count)| all >= LETTERS && count * 5 >= all);
    many.map(|(script, _)| script).collect()
}

/// The script of a letter that is not ASCII.
fn script(c: char) -> Option<u8> {
    Some(match c {
        '\u{C0}'..='\u{24F}' => 0,
        '\0'..='\u{BF}' => return None,
        '\u{370}'..='\u{3FF}' | '\u{1F00}'..='\u{1FFF}' => 1,
        '\u{400}'..='\u{52F}' => 2,
        '\u{530}'..='\u{58F}' => 3,
        '\u{590}'..='\u{5FF}' => 4,
        '\u{600}'..='\u{77F}' | '\u{8A0}'..='\u{8FF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFE}' => 5,
        '\u{900}'..='\u{DFF}' => 6,
        '\u{E00}'..='\u{EFF}' => 7,
        '\u{10A0}'..='\u{10FF}' => 8,
        '\u{1200}'..='\u{139F}' => 9,
        '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{AC00}'..='\u{D7AF}' => 10,
        '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' => 11,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}' => 12,
        _ if c.is_alphabetic() => 13,
        _ => return None,
    })
}

/// Digests of hosts, which nobody can choose so that two are alike.
fn hosts(text: &str) -> Vec<u64> {
    let mut found = BTreeSet::new();
    for at in memmem::find_iter(text.as_bytes(), "://") {
        let rest = text.get(at + 3..).unwrap_or_default();
        let ends = |c: char| !(c.is_alphanumeric() || "-._~%@:[]".contains(c));
        // A host has no more letters than that.
        let rest = rest.get(..rest.floor_char_boundary(300)).unwrap_or_default();
        let authority = rest.split(ends).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default().to_lowercase();
        let host = host.split_once(':').map_or(&*host, |(host, _)| host).trim_end_matches('.');
        if !host.is_empty() && found.len() < HOSTS {
            let digest = blake3::hash(host.as_bytes());
            found.extend(digest.as_bytes().first_chunk::<8>().map(|first| u64::from_le_bytes(*first)));
        }
    }
    found.into_iter().collect()
}

/// Digests of the paths of structured content, or of a text that is JSON.
fn shape(body: Value<'_>, text: &str) -> Vec<u64> {
    let mut paths = Paths { found: BTreeSet::new(), left: VALUES };
    if let Some(structured) = body.get("structuredContent") {
        paths.of_value(structured);
    } else if text.starts_with(['{', '[']) {
        serde_json::from_str(text).into_iter().for_each(|held: serde_json::Value| paths.of_json(&held));
    }
    paths.found.into_iter().collect()
}

struct Paths {
    found: BTreeSet<u64>,
    left: usize,
}

impl Paths {
    fn of_value(&mut self, value: Value<'_>) {
        let mut open = vec![(START, value)];
        while let Some((path, value)) = open.pop() {
            let kind = match value.kind() {
                NodeKind::Object => b'{',
                NodeKind::Array => b'[',
                NodeKind::String | NodeKind::Key => b'"',
                // `null` may stand for anything.
                _ if value.raw() == "null" => continue,
                _ if matches!(value.raw(), "true" | "false") => b'?',
                _ => b'0',
            };
            if !self.add(path, kind) {
                return;
            }
            open.extend(value.members().map(|(key, held)| (within(path, key.text().as_bytes()), held)));
            open.extend(value.elements().map(|held| (within(path, b"\0"), held)));
        }
    }

    fn of_json(&mut self, value: &serde_json::Value) {
        let mut open = vec![(START, value)];
        while let Some((path, value)) = open.pop() {
            let kind = match value {
                serde_json::Value::Object(_) => b'{',
                serde_json::Value::Array(_) => b'[',
                serde_json::Value::String(_) => b'"',
                serde_json::Value::Null => continue,
                serde_json::Value::Bool(_) => b'?',
                serde_json::Value::Number(_) => b'0',
            };
            if !self.add(path, kind) {
                return;
            }
            open.extend(
                value.as_object().into_iter().flatten().map(|(key, held)| (within(path, key.as_bytes()), held)),
            );
            open.extend(value.as_array().into_iter().flatten().map(|held| (within(path, b"\0"), held)));
        }
    }

    /// Whether there is room for more.
    fn add(&mut self, path: u64, kind: u8) -> bool {
        self.found.insert(within(path, &[1, kind]));
        self.left = self.left.saturating_sub(1);
        self.left > 0 && self.found.len() < PATHS
    }
}

/// FNV-1a: whoever finds two paths alike could have kept to the one that is known.
const START: u64 = 0xCBF2_9CE4_8422_2325;

fn within(path: u64, step: &[u8]) -> u64 {
    let mix = |path: u64, byte: &u8| (path ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    step.iter().chain(&[0xFF]).fold(path, mix)
}
