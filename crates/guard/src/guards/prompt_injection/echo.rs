//! What is taken out of one text of a result and stands in another one as well.
//!
//! **Threat.** Servers say the same twice, as `structuredContent` and as JSON in a text, and clients show the model one of
//! them. Both are looked at, but what a rule or the classifier makes of an order depends on what stands around it, and where a
//! sentence ends on how it is written. So whoever writes a result could have an order found in one and not in the other. What
//! is found in either is therefore looked for in all the others, whatever the escapes, the case or the blanks between its letters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bartizan_detect::decode::{View, Views};
use bartizan_mcp::{NodeId, Part, PartKind};
use memchr::memmem;

use super::{apart, placed};
use crate::{Event, Finding, Report, note};

/// Letters of a piece that is looked for: a shorter one stands in many an honest text.
const SHORTEST: usize = 12;
/// Pieces that are looked for, and bytes that are looked through for all of them together before there are fewer.
const MOST: usize = 4_096;
const BYTES: usize = 256 * 1024 * 1024;
/// However much there is to look through, so many are looked for.
const FEWEST: usize = 64;

/// Reports what was found in one of the texts of a result, where it stands in the others.
pub(super) fn report(event: &Event<'_>, report: &mut Report) {
    let is_echo = |part: &Part<'_>| matches!(part.kind, PartKind::Content | PartKind::StructuredContent) && !part.is_key();
    if report.findings.is_empty() || !event.message.parts().any(|part| part.kind == PartKind::StructuredContent) {
        return;
    }
    let parts: Vec<_> = event.message.parts().filter(is_echo).map(|part| (part.text().into_owned(), part)).collect();
    let bytes: usize = parts.iter().map(|(text, _)| text.len()).sum();
    let most = (BYTES / bytes.max(1)).clamp(FEWEST, MOST);
    let texts: BTreeMap<_, _> = parts.iter().map(|(text, part)| (part.value.id(), text.as_str())).collect();
    let pieces = pieces(&report.findings, &texts, most);
    if pieces.is_empty() {
        return;
    }
    let mut echoes = Vec::new();
    for (text, part) in &parts {
        let views = Views::of(text);
        let read: Vec<_> = views.iter().map(|view| (view, Letters::of(view))).collect();
        for (finding, pieces) in &pieces {
            let places = read.iter().flat_map(|(view, letters)| letters.places(pieces).map(|place| views.original(view, place)));
            let places = places.map(|place| text.floor_char_boundary(place.start)..text.ceil_char_boundary(place.end));
            let known = known(&report.findings, finding, part.value.id());
            let mut places: Vec<_> = places.filter(|place| !known.iter().any(|held| covers(held, place))).collect();
            places.sort_by_key(|place| (place.start, place.end));
            let mut places = apart(None, places.into_iter()).into_iter();
            let Some(first) = places.next() else { continue };
            let mut echo = Finding::within(finding.rule, part, first, finding.why.as_str()).quoting(finding.quoting.clone());
            (echo.also, echo.confidence) = (places.collect(), finding.confidence);
            (echo.replacement, echo.own) = (finding.replacement.clone(), finding.own.clone());
            echoes.push(placed(event, part, echo));
        }
    }
    echoes.into_iter().for_each(|echo| report.find(echo));
}

/// What was found, in letters alone and in pieces: what stands in one string or line need not stand beside the next elsewhere.
fn pieces<'f>(
    findings: &'f [Finding],
    texts: &BTreeMap<NodeId, &str>,
    most: usize,
) -> Vec<(Finding, BTreeSet<String>)> {
    let mut left = most;
    let mut all: Vec<(Finding, BTreeSet<String>)> = Vec::new();
    let is_cut = |finding: &&'f Finding| finding.replacement.is_some() && finding.rule.id != note::IMITATED;
    for finding in findings.iter().filter(is_cut) {
        let Some(text) = texts.get(&finding.at) else { continue };
        let mut own = BTreeSet::new();
        for span in finding.span.iter().chain(&finding.also) {
            let views = Views::of(text.get(span.clone()).unwrap_or_default());
            let said = views.iter().flat_map(|view| view.text().split(['\n', '"'])).map(letters);
            own.extend(said.filter(|piece| piece.len() >= SHORTEST).take(left.saturating_sub(own.len())));
        }
        left = left.saturating_sub(own.len());
        match all.iter_mut().find(|(held, _)| is_alike(held, finding)) {
            _ if own.is_empty() => {}
            Some((_, held)) => held.extend(own),
            None => all.push((finding.clone(), own)),
        }
    }
    all
}

/// Where the same rule found something in a text by itself.
fn known(findings: &[Finding], like: &Finding, at: NodeId) -> Vec<Range<usize>> {
    let own = findings.iter().filter(|held| held.at == at && is_alike(held, like));
    own.flat_map(|held| held.span.iter().chain(&held.also)).cloned().collect()
}

/// Whether two are of the same rule, or of the same one that the operator wrote.
fn is_alike(one: &Finding, other: &Finding) -> bool {
    one.rule == other.rule && one.own == other.own
}

fn covers(held: &Range<usize>, place: &Range<usize>) -> bool {
    held.start <= place.start && place.end <= held.end
}

/// The letters and digits of a text, small.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The letters of one reading, and where each of them stands in it.
struct Letters {
    text: String,
    /// For each byte of the text where its letter begins and ends.
    at: Vec<(usize, usize)>,
}

impl Letters {
    fn of(view: &View<'_>) -> Letters {
        let (mut text, mut at) = (String::with_capacity(view.text().len()), Vec::with_capacity(view.text().len()));
        for (start, c) in view.text().char_indices().filter(|(_, c)| c.is_alphanumeric()) {
            text.extend(c.to_lowercase());
            at.resize(text.len(), (start, start + c.len_utf8()));
        }
        Letters { text, at }
    }

    /// Where any of the pieces stands, in the reading.
    fn places(&self, pieces: &BTreeSet<String>) -> impl Iterator<Item = Range<usize>> {
        pieces.iter().flat_map(|piece| {
            memmem::find_iter(self.text.as_bytes(), piece).filter_map(|start| {
                let (first, last) = (self.at.get(start)?, self.at.get(start + piece.len() - 1)?);
                Some(first.0..last.1)
            })
        })
    }
}
