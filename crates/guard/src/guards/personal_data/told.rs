//! What the server was given back and says again, whatever way and wherever: in a result or an error, in news of its progress, and in
//! what it asks the client.

use std::ops::Range;

use bartizan_mcp::{Message, NodeId, NodeKind, PartKind, Value};

use super::Covered;
use super::texts::FILES;
use crate::told::{MOST_PLACES, Told};
use crate::{Action, Direction, Event, Finding, Names, Pseudonym, Report, RuleSpec, Severity, note, numeral};

/// Hidden under its name unless a setting names this very rule.
pub(super) const GIVEN_BACK: RuleSpec = RuleSpec::new(
    "personal_data.given_back",
    Severity::Low,
    Action::Redact,
    "The server says again what it was given back for a pseudonym.",
)
.by_name();

const TOO_MUCH: &str = "There is more of it than is looked at, so what the server was given back may be in it.";

/// Of no meaning to anybody but who made them; programs bring them back as they are.
const OPAQUE: [&str; 6] = ["requestState", "nextCursor", "taskId", "progressToken", "requestId", "elicitationId"];

/// Smaller numbers are counts.
const SHORTEST_NUMBER: usize = 4;

pub(super) fn look(event: &Event<'_>, report: &mut Report) {
    let Some(told) = Told::of_event(event).filter(|_| event.direction == Direction::ToClient) else { return };
    let (message, names) = (event.message, Names::of(event));
    let envelope = envelope(message);
    let (mut last, mut left): (Option<Value<'_>>, _) = (None, MOST_PLACES);
    for part in message.parts() {
        let key = last.filter(|key| key.kind() == NodeKind::Key && key.is_key_of(part.value)).map(Value::text);
        last = Some(part.value);
        if envelope.contains(&Some(part.id())) {
            continue;
        }
        let place = Place {
            value: part.value,
            kind: part.kind,
            element: part.element,
            is_file: part.kind == PartKind::Content && key.as_deref().is_some_and(|key| FILES.contains(&key)),
        };
        place.look(&part.text(), (told, &mut left, names.as_ref()), report);
    }
    for value in ["result", "error", "params"].iter().filter_map(|member| message.root().get(member)) {
        for number in value.subtree().filter(|value| value.kind() == NodeKind::Number) {
            if numeral::digits(number.raw()).map_or(number.raw().len(), |digits| digits.len()) >= SHORTEST_NUMBER {
                let place = Place { value: number, kind: PartKind::StructuredContent, element: None, is_file: false };
                place.look(number.raw(), (told, &mut left, names.as_ref()), report);
            }
        }
    }
}

/// What of a message is nobody's to change, by where the protocol has it; a server may call anything else the same.
fn envelope(message: &Message) -> Vec<Option<NodeId>> {
    let root = message.root();
    let of = |value: Option<Value<'_>>, name: &str| value.and_then(|value| value.get(name)).map(Value::id);
    let (result, params) = (message.result(), message.params());
    let within = |name: &'static str| [result, params].map(|value| value.and_then(|value| value.get(name)));
    let holders = [[result, params], within("task"), within("_meta")];
    let opaque = holders.into_iter().flatten().flat_map(|holder| OPAQUE.map(|name| of(holder, name)));
    opaque.chain(["id", "method"].map(|name| of(Some(root), name))).filter(Option::is_some).collect()
}

/// Where a text or a number stands.
struct Place<'m> {
    value: Value<'m>,
    kind: PartKind,
    element: Option<NodeId>,
    is_file: bool,
}

impl Place<'_> {
    fn look(&self, text: &str, (told, left, names): (&Told, &mut usize, Option<&Names>), report: &mut Report) {
        let sighted = told.look(text, left);
        if sighted.cut {
            report.find(self.finding(TOO_MUCH.to_owned()));
        }
        if sighted.places.is_empty() {
            return;
        }
        // A name that was made here has none of it in it, whatever its letters are.
        let covered = Covered::of(names.map(|names| names.places(text)).unwrap_or_default());
        for ((which, is_masked), mut spans) in sighted.places {
            spans.retain(|span| !covered.reach(span));
            if let Some(finding) = self.sighted((told, which), names, is_masked, spans) {
                report.find(finding);
            }
        }
    }

    fn sighted(
        &self,
        (told, which): (&Told, usize),
        names: Option<&Names>,
        is_masked: bool,
        spans: Vec<Range<usize>>,
    ) -> Option<Finding> {
        // Where programs read, a short word means something else.
        let is_content = match self.kind {
            PartKind::Metadata | PartKind::Other => false,
            kind => !is_definition(kind),
        };
        let held = told.get(which).filter(|_| is_content || told.is_long(which))?;
        let mut spans = spans.into_iter();
        let first = spans.next()?;
        let hidden = if is_masked { " It is in an encoding, or may be either of two." } else { "" };
        let mut finding = self.finding(format!("{}{hidden}", GIVEN_BACK.summary));
        // A key, a file or a definition that is changed is another one.
        let is_text = self.value.kind() != NodeKind::Key && !self.is_file && !is_definition(self.kind);
        finding.span = is_text.then_some(first);
        finding.also = spans.collect();
        // Where numbers stand for numbers, this one does again.
        let number = names.and_then(|names| names.number_of(held.token.kind(), &held.value));
        finding.pseudonym = (!is_masked).then(|| Pseudonym { number, ..held.clone() });
        Some(finding)
    }

    fn finding(&self, why: String) -> Finding {
        let mut finding = Finding::about(&GIVEN_BACK, self.value, self.kind, why);
        finding.element = self.element;
        finding.replacement = Some(note::of(GIVEN_BACK.id).into());
        finding
    }
}

fn is_definition(kind: PartKind) -> bool {
    matches!(kind, PartKind::ToolDefinition | PartKind::PromptDefinition | PartKind::ResourceDefinition)
}
