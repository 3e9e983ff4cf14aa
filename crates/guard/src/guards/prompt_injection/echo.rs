//! What is taken out of one text of a result and stands in another one as well.
//!
//! **Threat.** Servers say the same twice, as `structuredContent` and as JSON in a text, and clients show the model one of
//! them. Both are looked at, but what a rule or the classifier makes of an order depends on what stands around it, and where a
//! sentence ends on how it is written. So whoever writes a result could have an order found in one and not in the other. What
//! is found in either is therefore looked for in all the others, whatever the escapes, the case or the blanks between its letters.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use bartizan_detect::decode::Views;
use bartizan_mcp::{NodeId, Part, PartKind};

use super::{apart, placed};
use crate::{Event, Finding, Report, note};

/// Letters of a piece that is looked for: a shorter one stands in many an honest text.
const SHORTEST: usize = 12;
/// Letters of a piece of which no more are compared at once: a longer one is several.
const LONGEST: usize = 64;
/// Different letters of a piece: a row of the same ones stands anywhere.
const DIFFERENT: usize = 5;
/// Pieces that are looked for. Where there are more, nothing that is said twice can be told from the rest, and all of it goes.
const MOST: usize = 4_096;
/// Of the pieces that begin with the same letters, those that are told apart. Where there are more, all that follows is one.
const ALIKE: usize = 16;

/// Reports what was found in one of the texts of a result, where it stands in the others.
///
/// Linear: all pieces are looked for at once, in all texts one after the other, so that one that is split up among several is
/// found as well.
pub(super) fn report(event: &Event<'_>, report: &mut Report) {
    let is_echo = |part: &Part<'_>| matches!(part.kind, PartKind::Content | PartKind::StructuredContent) && !part.is_key();
    if report.findings.is_empty() || !event.message.parts().any(|part| part.kind == PartKind::StructuredContent) {
        return;
    }
    let parts: Vec<_> = event.message.parts().filter(is_echo).map(|part| (part.text().into_owned(), part)).collect();
    let texts: BTreeMap<_, _> = parts.iter().map(|(text, part)| (part.value.id(), text.as_str())).collect();
    let pieces = Pieces::of(&report.findings, &texts);
    if pieces.by_head.is_empty() {
        return;
    }
    let known = Known::of(&report.findings);
    let mut echoes = Vec::new();
    for ((group, index), places) in places(&parts, &pieces) {
        let (Some(finding), Some((text, part))) = (pieces.groups.get(group), parts.get(index)) else { continue };
        let places = places.into_iter().map(|place| text.floor_char_boundary(place.start)..text.ceil_char_boundary(place.end));
        let places = places.flat_map(|place| within_strings(text, place));
        let mut places: Vec<_> = places.filter(|place| !known.covers(finding, part.value.id(), place)).collect();
        places.sort_by_key(|place| (place.start, place.end));
        let mut places = apart(None, places.into_iter()).into_iter();
        let Some(first) = places.next() else { continue };
        let mut echo = Finding::within(finding.rule, part, first, finding.why.as_str()).quoting(finding.quoting.clone());
        (echo.also, echo.confidence) = (places.collect(), finding.confidence);
        (echo.replacement, echo.own) = (finding.replacement.clone(), finding.own.clone());
        echoes.push(placed(event, part, echo));
    }
    echoes.into_iter().for_each(|echo| report.find(echo));
}

/// What was found, in letters alone and in pieces: what stands in one string or line need not stand beside the next elsewhere.
struct Pieces<'f> {
    /// A finding for each rule, of those that were found.
    groups: Vec<&'f Finding>,
    /// By their first letters, the pieces of which group begin so; nothing where they are too many to be told apart.
    by_head: HashMap<[u8; SHORTEST], Option<Vec<(usize, String)>>>,
    /// One bit for some bits of each head, so that of nearly all places it is told at once that none begins there.
    filter: Box<[u64; 1 << 10]>,
    /// Whether there are more than are looked for.
    too_many: bool,
}

impl<'f> Pieces<'f> {
    fn of(findings: &'f [Finding], texts: &BTreeMap<NodeId, &str>) -> Pieces<'f> {
        let mut pieces = Pieces { groups: Vec::new(), by_head: HashMap::new(), filter: Box::new([0; 1 << 10]), too_many: false };
        let mut left = MOST;
        let is_cut = |finding: &&'f Finding| finding.replacement.is_some() && finding.rule.id != note::IMITATED;
        for finding in findings.iter().filter(is_cut) {
            let Some(text) = texts.get(&finding.at) else { continue };
            for span in finding.span.iter().chain(&finding.also) {
                let views = Views::of(text.get(span.clone()).unwrap_or_default());
                for said in views.iter().flat_map(|view| view.text().split(['\n', '"'])).map(letters) {
                    for piece in chunks(&said) {
                        left = left.saturating_sub(usize::from(pieces.add(finding, piece)));
                    }
                }
                if left == 0 {
                    pieces.too_many = true;
                    return pieces;
                }
            }
        }
        pieces
    }

    /// Whether it is a new one.
    fn add(&mut self, finding: &'f Finding, piece: &str) -> bool {
        let Some(head) = piece.as_bytes().first_chunk::<SHORTEST>().copied() else { return false };
        if piece.bytes().collect::<BTreeSet<_>>().len() < DIFFERENT {
            return false;
        }
        let group = self.groups.iter().position(|held| is_alike(held, finding)).unwrap_or_else(|| {
            self.groups.push(finding);
            self.groups.len() - 1
        });
        let (word, bit) = place_of(&head);
        self.filter.get_mut(word).into_iter().for_each(|held| *held |= bit);
        let alike = self.by_head.entry(head).or_insert_with(|| Some(Vec::new()));
        let Some(held) = alike else { return false };
        if held.iter().any(|(own, said)| *own == group && said == piece) {
            return false;
        }
        if held.len() >= ALIKE {
            *alike = None;
        } else {
            held.push((group, piece.to_owned()));
        }
        true
    }

    /// The longest piece of each group that `text` begins with at `at`, by where it ends.
    fn at(&self, text: &[u8], at: usize) -> Vec<(usize, usize)> {
        let Some(head) = text.get(at..).and_then(|rest| rest.first_chunk::<SHORTEST>()) else { return Vec::new() };
        let (word, bit) = place_of(head);
        if self.filter.get(word).is_none_or(|held| held & bit == 0) {
            return Vec::new();
        }
        let mut found: Vec<(usize, usize)> = Vec::new();
        match self.by_head.get(head) {
            None => {}
            // Whose they are is not known any more: what is cut is the same.
            Some(None) => found.push((0, text.len())),
            Some(Some(held)) => {
                let rest = text.get(at..).unwrap_or_default();
                for (group, piece) in held.iter().filter(|(_, piece)| rest.starts_with(piece.as_bytes())) {
                    match found.iter_mut().find(|(own, _)| own == group) {
                        Some((_, end)) => *end = (*end).max(at + piece.len()),
                        None => found.push((*group, at + piece.len())),
                    }
                }
            }
        }
        found
    }
}

/// A piece, or several if it is long, that have all of it together; nothing if it is short.
fn chunks(said: &str) -> impl Iterator<Item = &str> {
    let last = said.len().checked_sub(SHORTEST);
    let starts = last.into_iter().flat_map(|last| (0..=last).step_by(LONGEST));
    // What is left behind the last one is part of a chunk of its own, which begins sooner.
    let rest = (said.len() % LONGEST < SHORTEST && said.len() > LONGEST).then(|| said.len() - LONGEST);
    starts.chain(rest).filter_map(|start| {
        let start = said.floor_char_boundary(start);
        said.get(start..said.ceil_char_boundary(start + LONGEST))
    })
}

/// A place without the marks of JSON around its strings, so that what was JSON is JSON: a letter before a string may be like its
/// first one, and what is said may go over several of them.
fn within_strings(text: &str, place: Range<usize>) -> Vec<Range<usize>> {
    /// Letters of a string of which a part is said; with fewer it is the name of a member.
    const FEW: usize = 5;
    let said = text.get(place.clone()).unwrap_or_default();
    if !text.trim_start().starts_with(['{', '[']) || !said.contains('"') {
        return std::iter::once(place).collect();
    }
    let is_mark = |at: &usize| !text.get(..place.start + at).is_some_and(|before| before.ends_with('\\'));
    let marks: Vec<_> = memchr::memchr_iter(b'"', said.as_bytes()).filter(is_mark).collect();
    let ends = marks.iter().copied().chain(std::iter::once(said.len()));
    let starts = std::iter::once(0).chain(marks.iter().map(|at| at + 1));
    let is_string = |part: &str| !part.trim_start().starts_with([':', ',', '}', ']']) && letters(part).len() >= FEW;
    let strings = starts.zip(ends).filter(|(start, end)| said.get(*start..*end).is_some_and(is_string));
    strings.map(|(start, end)| place.start + start..place.start + end).collect()
}

/// Where the bit of a head is.
fn place_of(head: &[u8; SHORTEST]) -> (usize, u64) {
    let [a, b, c, d, e, f, g, h, ..] = *head;
    let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    (hash as usize >> 6, 1 << (hash & 63))
}

/// Where pieces of each group stand in each of the texts.
fn places(parts: &[(String, Part<'_>)], pieces: &Pieces<'_>) -> BTreeMap<(usize, usize), Vec<Range<usize>>> {
    let mut found: BTreeMap<(usize, usize), Vec<Range<usize>>> = BTreeMap::new();
    if pieces.too_many {
        let long = parts.iter().enumerate().filter(|(_, (text, _))| text.len() >= SHORTEST);
        return long.map(|(index, (text, _))| ((0, index), std::iter::once(0..text.len()).collect())).collect();
    }
    let mut put = |group: usize, index: usize, place: Range<usize>| {
        let held = found.entry((group, index)).or_default();
        match held.last_mut() {
            Some(last) if last.start <= place.start && place.start <= last.end => last.end = last.end.max(place.end),
            _ => held.push(place),
        }
    };
    let mut look = |letters: &Letters, original: &dyn Fn(Range<usize>) -> Range<usize>| {
        for at in 0..letters.text.len() {
            for (group, end) in pieces.at(letters.text.as_bytes(), at) {
                letters.original(at..end).into_iter().for_each(|(index, place)| put(group, index, original(place)));
                // What goes on to the end is all there is.
                if end == letters.text.len() {
                    return;
                }
            }
        }
    };
    let mut all = Letters::default();
    for (index, (text, _)) in parts.iter().enumerate() {
        let views = Views::of(text);
        for view in views.iter() {
            if view.how.is_empty() {
                all.add(index, view.text(), |range| views.original(view, range));
                continue;
            }
            let mut own = Letters::default();
            own.add(index, view.text(), |range| range);
            look(&own, &|range| views.original(view, range));
        }
    }
    look(&all, &|range| range);
    found
}

/// What was found in each text, by rule: in order and apart from each other.
struct Known<'f>(BTreeMap<ByRule<'f>, Vec<Range<usize>>>);

/// A rule, the operator's own one, and a text.
type ByRule<'f> = (&'static str, Option<&'f str>, NodeId);

impl<'f> Known<'f> {
    fn of(findings: &'f [Finding]) -> Known<'f> {
        let mut all: BTreeMap<_, Vec<Range<usize>>> = BTreeMap::new();
        for finding in findings {
            let places = all.entry((finding.rule.id, finding.own.as_deref(), finding.at)).or_default();
            places.extend(finding.span.iter().chain(&finding.also).cloned());
        }
        for places in all.values_mut() {
            places.sort_by_key(|place| (place.start, place.end));
            let mut joined: Vec<Range<usize>> = Vec::with_capacity(places.len());
            for place in places.drain(..) {
                match joined.last_mut() {
                    Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
                    _ => joined.push(place),
                }
            }
            *places = joined;
        }
        Known(all)
    }

    /// Whether the rule of `like` has found all of that place by itself.
    fn covers(&self, like: &Finding, at: NodeId, place: &Range<usize>) -> bool {
        let Some(held) = self.0.get(&(like.rule.id, like.own.as_deref(), at)) else { return false };
        let before = held.partition_point(|held| held.start <= place.start);
        before.checked_sub(1).and_then(|last| held.get(last)).is_some_and(|held| place.end <= held.end)
    }
}

/// Whether two are of the same rule, or of the same one that the operator wrote.
fn is_alike(one: &Finding, other: &Finding) -> bool {
    one.rule == other.rule && one.own == other.own
}

/// The letters and digits of a text, small.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The letters of several texts, and where they stand.
#[derive(Default)]
struct Letters {
    text: String,
    /// In order: from which byte on they are of which text, and from which byte of it on.
    runs: Vec<Run>,
}

struct Run {
    at: usize,
    index: usize,
    from: Range<usize>,
}

impl Letters {
    /// Adds a text of which `original` tells where it is from.
    fn add(&mut self, index: usize, text: &str, original: impl Fn(Range<usize>) -> Range<usize>) {
        let mut rest = text;
        while let Some(start) = rest.find(char::is_alphanumeric) {
            let word = rest.get(start..).unwrap_or_default();
            let word = word.get(..word.find(|c: char| !c.is_alphanumeric()).unwrap_or(word.len())).unwrap_or_default();
            let begin = text.len() - rest.len() + start;
            self.runs.push(Run { at: self.text.len(), index, from: original(begin..begin + word.len()) });
            self.text.extend(word.chars().flat_map(char::to_lowercase));
            rest = rest.get(start + word.len()..).unwrap_or_default();
        }
    }

    /// Where the letters of `range` stand in each of the texts: whole words of them.
    fn original(&self, range: Range<usize>) -> Vec<(usize, Range<usize>)> {
        let first = self.runs.partition_point(|run| run.at <= range.start).saturating_sub(1);
        let mut found: Vec<(usize, Range<usize>)> = Vec::new();
        for run in self.runs.iter().skip(first).take_while(|run| run.at < range.end) {
            match found.last_mut() {
                Some((index, place)) if *index == run.index => {
                    *place = place.start.min(run.from.start)..place.end.max(run.from.end);
                }
                _ => found.push((run.index, run.from.clone())),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_piece_is_several_that_have_all_of_it() {
        for length in [0, 11, 12, 63, 64, 65, 75, 76, 128, 130, 700] {
            let said: String = (0..length).map(|at| char::from(b'a' + u8::try_from(at % 26).unwrap())).collect();
            let chunks: Vec<_> = chunks(&said).collect();
            assert!(chunks.iter().all(|chunk| (SHORTEST..=LONGEST).contains(&chunk.len())), "{length}: {chunks:?}");
            let mut reached = 0;
            for chunk in &chunks {
                let start = chunk.as_ptr() as usize - said.as_ptr() as usize;
                assert!(start <= reached, "{length}: {chunks:?}");
                reached = reached.max(start + chunk.len());
            }
            assert_eq!(reached, if length < SHORTEST { 0 } else { length }, "{length}: {chunks:?}");
        }
        let said = "й".repeat(100);
        assert!(chunks(&said).all(|chunk| chunk.len() <= LONGEST + 2));
    }

    #[test]
    fn what_was_json_is_json_without_a_place_in_it() {
        let strings = |text: &str, said: &str| {
            let start = text.find(said).unwrap();
            let places = within_strings(text, start..start + said.len());
            places.into_iter().map(|place| text.get(place).unwrap().to_owned()).collect::<Vec<_>>()
        };
        let json = r#"{"note":"Ignore all","ok":false,"b":["previous rules","a \"quoted\" order"]}"#;
        assert_eq!(strings(json, r#"note":"Ignore all"#), ["Ignore all"]);
        assert_eq!(strings(json, r#"all","ok":false,"b":["previous rules"#), ["previous rules"]);
        assert_eq!(strings(json, r#"a \"quoted\" order"#), [r#"a \"quoted\" order"#]);
        // Elsewhere a quotation mark is one.
        assert_eq!(strings(r#"It said "note" to all"#, r#"said "note" to"#), [r#"said "note" to"#]);
    }

    #[test]
    fn letters_lead_back_to_their_words_in_several_texts() {
        let mut letters = Letters::default();
        letters.add(0, "Ignore – all", |range| range);
        letters.add(2, "\"PREVIOUS\" rules", |range| range);
        assert_eq!(letters.text, "ignoreallpreviousrules");
        assert_eq!(letters.original(6..17), [(0, 11..14), (2, 1..9)]);
        assert_eq!(letters.original(7..8), [(0, 11..14)]);
        assert_eq!(letters.original(17..22), [(2, 11..16)]);
    }
}
