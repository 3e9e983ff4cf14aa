//! Which settings for single places a finding comes under, by what their paths address in the message.

use std::collections::BTreeMap;
use std::ops::Range;

use bartizan_mcp::{Document, JsonPath, Limits, NodeId, NodeKind, PartKind, Paths};

use crate::{Event, Finding, Settings, Where};

/// Tells findings apart by their places; what a path addresses is worked out once for a message, and only if something was
/// found that the setting is for.
pub(super) struct Places<'e, 's> {
    event: &'e Event<'e>,
    settings: &'s Settings,
    /// What a path addresses in the arguments or the structured content, as positions of nodes.
    values: BTreeMap<&'s str, Vec<Range<u32>>>,
    /// Texts as JSON, if they are any.
    texts: BTreeMap<NodeId, Option<Document>>,
    /// What a path addresses in a text, in bytes.
    within: BTreeMap<(NodeId, &'s str), Vec<Range<usize>>>,
}

impl<'e, 's> Places<'e, 's> {
    pub(super) fn of(event: &'e Event<'e>, settings: &'s Settings) -> Places<'e, 's> {
        Places { event, settings, values: BTreeMap::new(), texts: BTreeMap::new(), within: BTreeMap::new() }
    }

    /// The finding with the setting for its place, if there is one. What was found in several places of one text may come
    /// under several settings, and becomes a finding for each.
    pub(super) fn split(&mut self, guard: &str, finding: Finding) -> Vec<(Finding, Option<&'s Where>)> {
        let places = self.settings.guards.get(guard).map(|held| &*held.places).unwrap_or_default();
        if places.is_empty() || finding.rule.fixed {
            return vec![(finding, None)];
        }
        let (tool, server) = (self.event.tool(), &*self.event.server.name);
        let (mut told_apart, mut left) = (Vec::new(), Some(finding));
        for place in places {
            let is_for = |finding: &mut Finding| place.is_for(finding, self.event.direction, server, tool.as_deref());
            let Some(finding) = left.take_if(is_for) else { continue };
            let (inside, outside) = match &place.path {
                Some(path) => self.divide(finding, path),
                None => (Some(finding), None),
            };
            told_apart.extend(inside.map(|finding| (finding, Some(place))));
            left = outside;
        }
        told_apart.extend(left.map(|finding| (finding, None)));
        told_apart
    }

    /// What of a finding is in what the path addresses, and what is not.
    fn divide(&mut self, finding: Finding, path: &'s JsonPath) -> (Option<Finding>, Option<Finding>) {
        let value = self.event.message.document().value(finding.at);
        if finding.kind != PartKind::Content || value.kind() != NodeKind::String {
            let is_inside = self.addresses(path, finding.at);
            return if is_inside { (Some(finding), None) } else { (None, Some(finding)) };
        }
        let ranges = self.within(finding.at, path);
        let is_inside = |span: &Range<usize>| {
            let before = ranges.partition_point(|range| range.start <= span.start);
            before.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| span.end <= range.end)
        };
        let spans: Vec<Range<usize>> =
            finding.span.iter().chain(&finding.also).filter(|span| !span.is_empty()).cloned().collect();
        if spans.is_empty() {
            // It is about the text as a whole.
            let whole = 0..value.text().len();
            return if is_inside(&whole) { (Some(finding), None) } else { (None, Some(finding)) };
        }
        let (inside, outside): (Vec<_>, Vec<_>) = spans.into_iter().partition(is_inside);
        let with = |mut spans: Vec<Range<usize>>| {
            let also = spans.split_off(spans.len().min(1));
            spans.pop().map(|span| Finding { span: Some(span), also, ..finding.clone() })
        };
        (with(inside), with(outside))
    }

    /// Whether the path addresses the value, or one that it is in.
    fn addresses(&mut self, path: &'s JsonPath, at: NodeId) -> bool {
        let event = self.event;
        let ranges = self.values.entry(path.as_str()).or_insert_with(|| {
            let paths = Paths::of([path]);
            let arguments = event.message.params().and_then(|params| params.get("arguments"));
            let structured = event.results().filter_map(|result| result.get("structuredContent"));
            let found = arguments.into_iter().chain(structured).flat_map(|root| paths.outermost(root));
            found.map(|value| value.ids()).collect()
        });
        let value = event.message.document().value(at);
        // A key is where its value is, which comes right behind it.
        let at = at.index() + u32::from(value.kind() == NodeKind::Key);
        let before = ranges.partition_point(|range| range.start <= at);
        before.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|range| at < range.end)
    }

    /// What the path addresses in a text, which is one value if it is no JSON.
    fn within(&mut self, at: NodeId, path: &'s JsonPath) -> &[Range<usize>] {
        let (message, texts) = (self.event.message, &mut self.texts);
        self.within.entry((at, path.as_str())).or_insert_with(|| {
            let text = message.document().value(at).text();
            if path.is_root() {
                return std::iter::once(0..text.len()).collect();
            }
            let Some(document) = texts.entry(at).or_insert_with(|| as_json(&text)) else { return Vec::new() };
            Paths::of([path]).outermost(document.root()).into_iter().map(|value| value.span()).collect()
        })
    }
}

/// A text as JSON of more than one value, if it is any that can be read in one way only.
pub(crate) fn as_json(text: &str) -> Option<Document> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    Document::parse(text.to_owned(), &Limits { bytes: usize::MAX, ..Limits::default() }).ok()
}
