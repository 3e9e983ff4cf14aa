//! What findings change in the texts of a message.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use bartizan_mcp::{Edits, NodeId};

use crate::mark::Mark;
use crate::{Event, Finding, How};

/// What to change in which text; all changes to one text are made together.
#[derive(Default)]
pub(super) struct Redactions {
    by_text: BTreeMap<NodeId, Vec<Change>>,
    /// The marks of texts, around what is left of them; one guard alone makes them.
    marks: BTreeMap<NodeId, Mark>,
}

/// What to put in place of some bytes.
struct Change {
    span: Range<usize>,
    with: Rc<str>,
}

/// Where some bytes of a text were, and where what stands in their place is.
struct Moved {
    from: Range<usize>,
    to: Range<usize>,
}

impl Redactions {
    pub(super) fn add(&mut self, finding: &Finding, how: How) {
        for (node, mark) in &finding.marks {
            self.marks.entry(*node).or_insert_with(|| mark.clone());
        }
        let Some(span) = finding.span.clone() else { return };
        let spans = std::iter::once(span).chain(finding.also.iter().cloned());
        let with: Rc<str> = match (how, &finding.replacement) {
            (How::Neutralise, Some(text)) => (**text).into(),
            (How::Neutralise | How::Cut, _) => "".into(),
            (How::Mask, _) => "[redacted]".into(),
        };
        // An empty span says that there is nothing to take away here.
        let changes = spans.filter(|span| !span.is_empty()).map(|span| Change { span, with: Rc::clone(&with) });
        self.by_text.entry(finding.at).or_default().extend(changes);
    }

    /// All edits, and if there are marks the edits without them.
    pub(super) fn into_edits(self, event: &Event<'_>) -> (Edits, Option<Edits>) {
        let (mut edits, mut unmarked) = (Edits::new(), Edits::new());
        let mut by_text = self.by_text;
        for node in self.marks.keys() {
            by_text.entry(*node).or_default();
        }
        for (node, changes) in by_text {
            let text = event.message.document().value(node).text();
            let (out, moves) = changed(&text, changes);
            if out != *text {
                unmarked.set_text(node, &out);
            }
            let mark = self.marks.get(&node);
            let out = mark.map(|mark| mark.applied(&out, |part| moved(&moves, part))).unwrap_or(out);
            if out != *text {
                edits.set_text(node, &out);
            }
        }
        let marked = edits != unmarked;
        (edits, marked.then_some(unmarked))
    }
}

/// A text with all changes made, and where it changed.
fn changed(text: &str, mut changes: Vec<Change>) -> (String, Vec<Moved>) {
    changes.sort_by(|one, other| {
        let place = |change: &Change| (change.span.start, Reverse(change.span.end));
        place(one).cmp(&place(other)).then_with(|| one.with.cmp(&other.with))
    });
    let mut out = String::with_capacity(text.len());
    let mut moves: Vec<Moved> = Vec::with_capacity(changes.len());
    let mut at = 0;
    for Change { span, with } in changes {
        // Overlapping findings: the first, widest one speaks for the text they share.
        if span.start >= at {
            out.push_str(text.get(at..span.start).unwrap_or_default());
            let start = out.len();
            out.push_str(&with);
            moves.push(Moved { from: span.clone(), to: start..out.len() });
        } else if let Some(last) = moves.last_mut() {
            last.from.end = last.from.end.max(span.end);
        }
        at = at.max(span.end);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    (out, moves)
}

/// Where a part of a text is after the changes; what it begins or ends within goes along with it.
fn moved(moves: &[Moved], part: &Range<usize>) -> Range<usize> {
    let place = |at: usize, is_start: bool| {
        let next = moves.partition_point(|held| held.from.start <= at);
        match next.checked_sub(1).and_then(|last| moves.get(last)) {
            None => at,
            Some(held) if held.from.end <= at => held.to.end + (at - held.from.end),
            Some(held) if is_start || at == held.from.start => held.to.start,
            Some(held) => held.to.end,
        }
    };
    place(part.start, true)..place(part.end, false)
}
