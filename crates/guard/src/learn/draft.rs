//! What could be set for a tool, and why, in counts.

use bartizan_flow::{ToolLabel, ToolLabels};

use super::field::Field;
use super::names::NameKind;
use super::tree::{Fields, Step, covers, path_of};
use super::{Hinted, Tool};
use crate::guards::flow::Options;
use crate::settings::fits;

/// Characters of a text that is large, or how many texts have on average that are.
const LARGE: usize = 1_000;
const LARGE_MEAN: u64 = 200;
/// Bounds are at least these, whatever was seen.
const SHORTEST: usize = 2_000;
const FEWEST_ROWS: usize = 20;
/// One result in so many has to hint at a label.
const ONE_IN: u64 = 20;
/// Fields that are listed as kept.
const LISTED: usize = 40;
/// Paths that are proposed for one tool; the guard takes no more than 256, and nobody reads as many.
const PATHS: usize = 100;

/// What is known already.
pub(super) struct Known<'k> {
    pub(super) flow: &'k Options,
    pub(super) tables: &'k [(String, String)],
    pub(super) least: u64,
}

/// One setting of `[[guard.minimise.tool]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A path in `drop`.
    Drop(String),
    /// `max_length`, in characters.
    MaxLength(usize),
    /// `max_rows`.
    MaxRows(usize),
    /// `images = "drop"`, or another kind of content that never came.
    Without(&'static str),
    /// `blobs`, in bytes.
    Blobs(u64),
}

/// A setting and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What could be set.
    pub ask: Ask,
    /// What was seen, in counts and names of fields.
    pub why: String,
    /// Whether it is only to be considered, as a model may have told its user of it.
    pub is_doubtful: bool,
}

/// What could be set for one tool.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// Calls of it.
    pub calls: u64,
    /// Results that were read, that were errors, and that were refused.
    pub results: u64,
    /// Results that were errors.
    pub errors: u64,
    /// Results that reached nobody.
    pub refused: u64,
    /// In how many sessions results came.
    pub sessions: u64,
    /// After how many results the same client asked something else.
    pub followed: u64,
    /// Why nothing is proposed, if nothing is.
    pub nothing: Option<String>,
    /// For `[[guard.minimise.tool]]`.
    pub lines: Vec<Line>,
    /// Fields that stay, and what else is to be known.
    pub notes: Vec<String>,
    /// For `[[guard.flow.tool]]`; none if nothing was learned.
    pub labels: Option<LabelDraft>,
}

/// Labels of one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDraft {
    /// What its definition shows; none if that is not known.
    pub guessed: Option<Vec<ToolLabel>>,
    /// What traffic adds to what counts by now, and why.
    pub added: Vec<(ToolLabel, String)>,
    /// Why it is not proposed although traffic adds something.
    pub kept_back: Option<String>,
}

impl LabelDraft {
    /// All labels that the tool would have; none if nothing changes.
    #[must_use]
    pub fn all(&self) -> Option<Vec<ToolLabel>> {
        if self.added.is_empty() || self.kept_back.is_some() {
            return None;
        }
        let all: ToolLabels =
            self.guessed.iter().flatten().chain(self.added.iter().map(|(label, _)| label)).copied().collect();
        Some(all.iter().collect())
    }
}

impl Tool {
    pub(super) fn draft(mut self, known: &Known<'_>, fields: &mut Fields) -> Draft {
        let mut draft = Draft {
            server: self.server.to_string(),
            tool: self.name.to_string(),
            calls: self.calls,
            results: self.results,
            errors: self.errors,
            refused: self.refused,
            sessions: self.sessions.len() as u64,
            followed: self.followed,
            ..Draft::default()
        };
        if self.server.ends_with('*') || self.name.ends_with('*') {
            draft.nothing = Some("its name ends in `*`, which would be a pattern for others as well".to_owned());
            return draft;
        }
        if self.results < known.least {
            draft.nothing = Some(format!("{} read, and {} are needed", count(self.results, "result"), known.least));
            return draft;
        }
        draft.labels = Some(self.labels(known.flow));
        let table = known.tables.iter().find(|(server, tool)| fits(server, &self.server) && fits(tool, &self.name));
        if let Some((_, tool)) = table {
            let note =
                format!("the configuration has a table for it already (`tool = \"{tool}\"`), which alone counts");
            draft.notes.push(note);
            return draft;
        }
        let all = std::mem::take(&mut self.root).fields(fields);
        self.drops(known, &all, &mut draft);
        self.bounds(&all, &mut draft);
        if self.further > 0 {
            draft.notes.push(format!("{} had no place any more and are in no line", count(self.further, "value")));
        }
        draft
    }

    fn drops(&self, known: &Known<'_>, all: &[(Vec<Step>, Field)], draft: &mut Draft) {
        let enough = known.least.div_ceil(4);
        let total: u64 = all.iter().map(|(_, field)| field.bytes).sum();
        if self.followed < enough {
            let seen = count(self.followed, "result");
            draft.notes.push(format!("`drop` is not proposed: {seen} had a later call, and {enough} are needed"));
            return;
        }
        let reason = |way: &[Step], field: &Field| {
            let is_unused = field.came_up == 0 && field.tracked > 0 && field.results >= enough && !way.is_empty();
            field.reason(total).filter(|_| is_unused)
        };
        let reasons: Vec<_> = all.iter().map(|(way, field)| reason(way, field)).collect();
        let mut beyond = 0;
        let stays = |at: usize| reasons.get(at).is_some_and(Option::is_none);
        for (at, ((way, field), reason)) in all.iter().zip(&reasons).enumerate() {
            let Some(path) = path_of(way) else { continue };
            let path = path.as_str().to_owned();
            let Some((why, is_doubtful)) = reason else {
                draft.notes.push(format!("stays: {path}: {}", field.stays()));
                continue;
            };
            let taken = all.iter().enumerate().any(|(other, (to, _))| other != at && stays(other) && covers(way, to));
            if taken {
                draft.notes.push(format!("stays: {path}: {why}; but the path would take others along"));
                continue;
            }
            if draft.lines.len() >= PATHS {
                beyond += 1;
                continue;
            }
            let why = format!("{why}; none of {} came up in a later call", count(field.tracked, "value"));
            draft.lines.push(Line { ask: Ask::Drop(path), why, is_doubtful: *is_doubtful });
        }
        if !draft.lines.is_empty() && draft.lines.iter().all(|line| !line.is_doubtful) && draft.lines.len() == all.len()
        {
            draft.lines.clear();
            draft
                .notes
                .push("`drop` is not proposed: nothing would be left, as no field came up in a later call".to_owned());
        }
        let more = draft.notes.len().saturating_sub(LISTED);
        if more > 0 {
            draft.notes.truncate(LISTED);
            draft.notes.push(format!("and {} that stay", count(more as u64, "more field")));
        }
        if beyond > 0 {
            draft
                .notes
                .push(format!("{} more could be in `drop`: see what is left with these", count(beyond, "field")));
        }
    }

    fn bounds(&self, all: &[(Vec<Step>, Field)], draft: &mut Draft) {
        let gone = |way: &[Step]| {
            let path = path_of(way);
            let is = |line: &Line, path: &str| !line.is_doubtful && line.ask == Ask::Drop(path.to_owned());
            path.is_some_and(|path| draft.lines.iter().any(|line| is(line, path.as_str())))
        };
        let longest =
            all.iter().filter(|(way, _)| !gone(way)).map(|(_, field)| field.longest).max().unwrap_or_default();
        let longest = longest.max(self.longest);
        let mut lines = Vec::new();
        let mut add = |ask, why| lines.push(Line { ask, why, is_doubtful: false });
        if longest > 0 {
            let why = format!("the longest text that stays had {}", count(longest as u64, "character"));
            add(Ask::MaxLength(roomy(longest).max(SHORTEST)), why);
        }
        if let Some(rows) = self.rows {
            let why = format!("the longest array had {}", count(rows as u64, "element"));
            add(Ask::MaxRows(roomy(rows).max(FEWEST_ROWS)), why);
        }
        let kinds =
            [("images", self.images), ("audio", self.audio), ("resource_links", self.links), ("blobs", self.blobs)];
        for (kind, seen) in kinds {
            let of = count(self.results, "result");
            match seen {
                0 => add(Ask::Without(kind), format!("none in {of}")),
                _ if kind == "blobs" => {
                    let why = format!("in {seen} of {of}, with up to {}", count(self.largest_blob, "byte"));
                    let most = roomy(usize::try_from(self.largest_blob).unwrap_or(usize::MAX));
                    add(Ask::Blobs((most as u64).max(1_024)), why);
                }
                _ => draft.notes.push(format!("stays: {kind}: in {seen} of {of}")),
            }
        }
        draft.lines.extend(lines);
    }

    /// What traffic adds to the labels that the tool has by now. It never takes one away.
    fn labels(&self, flow: &Options) -> LabelDraft {
        let guessed: Option<Vec<_>> = self.nature.map(|nature| nature.labels.iter().collect());
        let name = format!("{}/{}", self.server, self.name);
        let entry = flow.tool.iter().find(|entry| entry.arguments.is_empty() && fits(&entry.name, &name));
        let set = entry.and_then(|entry| entry.labels.as_ref());
        let set: Option<ToolLabels> = set.map(|labels| labels.iter().map(|label| ToolLabel::from(*label)).collect());
        // Of a tool that nobody has listed it is taken for granted that it brings and reaches anything.
        let unknown = || ToolLabel::ALL.into_iter().collect();
        let now = set.unwrap_or_else(|| self.nature.map_or_else(unknown, |nature| nature.labels));
        let trusted = flow.trusts(&self.server, &self.name);
        let mut added = self.suggested();
        let is_vouched = |label: ToolLabel| trusted && label == ToolLabel::UntrustedContent;
        added.retain(|(label, _)| !(now.has(*label) || is_vouched(*label)));
        let kept_back = entry.map(|entry| {
            format!("the configuration has an entry for it already (`name = \"{}\"`), which alone counts", entry.name)
        });
        LabelDraft { guessed, kept_back: kept_back.filter(|_| !added.is_empty()), added }
    }

    fn suggested(&self) -> Vec<(ToolLabel, String)> {
        let Hinted { personal, secret, link, stranger, html, prose } = self.hints;
        let often = |seen: u64, of: u64| seen > 0 && seen.saturating_mul(ONE_IN) >= of;
        let told = |all: &[(u64, &str)]| {
            let seen: Vec<_> =
                all.iter().filter(|(seen, _)| *seen > 0).map(|(seen, what)| format!("{what} in {seen}")).collect();
            format!("{} of {}", seen.join(", "), count(self.results, "result"))
        };
        let mut all = Vec::new();
        if [link, stranger, html, prose].into_iter().any(|seen| often(seen, self.results)) {
            let why =
                [(link, "links"), (stranger, "mail addresses of strangers"), (html, "HTML"), (prose, "long prose")];
            all.push((ToolLabel::UntrustedContent, told(&why)));
        }
        if secret > 0 || often(personal, self.results) {
            all.push((ToolLabel::PrivateData, told(&[(personal, "personal data"), (secret, "secrets")])));
        }
        if often(self.addressed, self.calls) {
            let named: Vec<_> = self.addresses.iter().map(|(name, seen)| format!("`{name}` {seen}")).collect();
            let (seen, of, named) = (self.addressed, count(self.calls, "call"), named.join(", "));
            all.push((ToolLabel::PublicSink, format!("an address or a host in {seen} of {of} ({named})")));
        }
        all
    }
}

impl Field {
    /// Why it could be left out if nobody needs it, and whether a model may have told its user of it all the same.
    fn reason(&self, total: u64) -> Option<(String, bool)> {
        let most = |seen: u64| seen > 0 && seen.saturating_mul(2) >= self.looked;
        let looked = count(self.looked, "value");
        let kinds = || self.kinds.iter().map(|(kind, seen)| format!("{kind} {seen}")).collect::<Vec<_>>().join(", ");
        let is_long = self.longest >= LARGE || self.bytes >= self.values.saturating_mul(LARGE_MEAN);
        let reason = match self.name {
            Some(NameKind::Secret) => "secret by its name".to_owned(),
            _ if most(self.secrets) => format!("secrets in {} of {looked}", self.secrets),
            Some(NameKind::Personal) if self.contacts > 0 => format!("personal ({} in {looked})", kinds()),
            Some(NameKind::Personal) => "personal by its name".to_owned(),
            _ if most(self.contacts) && self.prose == 0 => format!("personal ({} in {looked})", kinds()),
            Some(NameKind::Internal) => "for programs by its name".to_owned(),
            None if self.values > 0 && self.noise == self.values => {
                format!("digests or pictures in all of {}", count(self.values, "value"))
            }
            None if is_long => {
                let share = self.bytes.saturating_mul(100) / total.max(1);
                let why = format!("large: up to {}, {share} % of all", count(self.longest as u64, "character"));
                return Some((why, self.prose > 0));
            }
            None => return None,
        };
        Some((reason, false))
    }

    fn stays(&self) -> String {
        let values = count(self.values, "value");
        match self.came_up {
            0 => values,
            often => format!("{values}, came up in {}", count(often, "later call")),
        }
    }
}

/// Twice as much, with one figure that is not zero.
fn roomy(seen: usize) -> usize {
    let twice = seen.saturating_mul(2);
    let mut unit = 1_usize;
    while unit.saturating_mul(10) <= twice {
        unit = unit.saturating_mul(10);
        if unit == usize::MAX {
            break;
        }
    }
    twice.div_ceil(unit).saturating_mul(unit)
}

pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_head_room() {
        for (seen, bound) in [(0, 0), (1, 2), (7, 20), (10, 20), (1_930, 4_000), (26, 60), (499, 1_000), (501, 2_000)] {
            assert_eq!(roomy(seen), bound, "{seen}");
        }
        assert!(roomy(usize::MAX) > usize::MAX / 2);
    }
}
