//! What slow layers say of a text that the built-in ones are not sure about, and what is made of it.
//!
//! Their word can only make a finding more. It takes one away where the operator says so, and then only what the
//! classifier alone found and not surely: what a rule found stays, however a text talks a layer round that reads it.

use std::cell::LazyCell;
use std::ops::Range;

use bartizan_detect::{CLASSIFIER, Found, Kind};
use bartizan_mcp::{NodeId, text_digest};

use super::shown::Shown;
use super::{Clean, PromptInjection, Seen, What, rules};
use crate::guards::RuleSpec;
use crate::{Asks, Doubt, Event, Evidence, Opinion, Report, Said, Silence, Terms};

/// The classifier alone is sure from this score on, and nobody clears what it says then.
const SURE: f32 = 0.98;
/// Up to this many thousandths somebody holds a text for harmless.
const HARMLESS: u16 = 100;

/// What is made of it.
#[derive(Default)]
pub(super) struct Heard {
    /// Findings, each with how sure it is, in thousandths, and a sentence.
    pub(super) found: Vec<(&'static RuleSpec, u16, String)>,
    /// Whether what the classifier found is none.
    pub(super) clears: bool,
    /// What the finding that somebody holds it for an attack is about.
    pub(super) spans: Vec<Range<usize>>,
}

impl PromptInjection {
    /// What is made of a text that stands `at` a place; reports that somebody is to be asked if nobody was.
    pub(super) fn heard(
        &self,
        event: &Event<'_>,
        (text, kind): (&str, Kind),
        seen: &Seen<'_>,
        (at, element): (NodeId, Option<NodeId>),
        report: &mut Report,
    ) -> Heard {
        let (Some(asks), Some(score)) = (&self.asks, seen.doubt) else { return Heard::default() };
        let covering: Vec<_> = asks.layers.iter().filter(|terms| terms.covers(kind, &event.server.name)).collect();
        if covering.is_empty() {
            return Heard::default();
        }
        let key = Clean::key(text_digest(text), What::Text(kind));
        let opinions = event.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Opinions(opinions) => Some(&**opinions),
            _ => None,
        });
        if let Some(opinions) = opinions {
            return self.weigh((asks, &covering), (text, kind), seen, &|terms| said(opinions, terms, key));
        }
        report.doubt(score, || {
            let mut open: Vec<_> = rules::OPINIONS.iter().map(|rule| rule.id).collect();
            if is_weak(&seen.found) && covering.iter().any(|terms| terms.clears) {
                open.push(CLASSIFIER);
            }
            let excerpt = self.shown(asks, (text, kind), seen).text.into();
            Doubt { text: key, kind, score, excerpt, is_settled: false, at, element, open }
        });
        // Where nobody can be asked, nobody is.
        let required = covering.iter().filter(|terms| terms.required);
        let found = required.map(|terms| (&rules::REQUIRED, 1000, unasked(terms, "it was not asked")));
        Heard { found: found.collect(), ..Heard::default() }
    }

    fn weigh(
        &self,
        (asks, covering): (&Asks, &[&Terms]),
        text: (&str, Kind),
        seen: &Seen<'_>,
        said: &dyn Fn(&Terms) -> Said,
    ) -> Heard {
        let mut heard = Heard::default();
        let mut harmless = None;
        let shown = LazyCell::new(|| self.shown(asks, text, seen));
        for terms in covering {
            let name = terms.layer.as_str();
            let acts = |thousandths: u16| f32::from(thousandths) / 1000.0 >= terms.acts_from;
            let said = match said(terms) {
                // Whoever did not see all of it cannot say that there is nothing.
                Said::Likely(thousandths) if !acts(thousandths) && !shown.is_all => Said::Nothing(Silence::Part),
                said => said,
            };
            match said {
                Said::Nothing(Silence::Settled) => {}
                Said::Nothing(silence) if terms.required => {
                    heard.found.push((&rules::REQUIRED, 1000, unasked(terms, silence.words())));
                }
                Said::Nothing(silence) => {
                    // Whoever writes a text must not be able to choose that nobody is asked and nobody is any the wiser.
                    let rule = if silence.is_of_the_writer() { &rules::UNASKED } else { &rules::SILENT };
                    heard.found.push((rule, 1000, format!("{name}: {}, so the rest decided.", silence.words())));
                }
                Said::Likely(thousandths) if acts(thousandths) => {
                    let why = format!("{name}: asked about a doubtful text, it holds it for an attack.");
                    heard.found.push((&rules::OPINION, thousandths, why));
                }
                Said::Likely(thousandths) if thousandths <= HARMLESS && terms.clears => harmless = Some(name),
                Said::Likely(_) => {}
            }
        }
        let is_attack = heard.found.iter().any(|(rule, ..)| rule.id == rules::OPINION.id);
        let harmless = harmless.filter(|_| !is_attack && is_weak(&seen.found));
        if is_attack {
            // Where it saw a part, the rest is as doubtful as what it saw.
            let whole = std::iter::once(0..text.0.len());
            heard.spans = if shown.is_all { shown.spans.clone() } else { whole.collect() };
        } else if let Some(name) = harmless {
            heard.clears = true;
            let why = format!("{name}: what the classifier alone found, and not surely, it holds for harmless.");
            heard.found.push((&rules::CLEARED, 1000, why));
        }
        heard
    }

    fn shown(&self, asks: &Asks, text: (&str, Kind), seen: &Seen<'_>) -> Shown {
        let found: Vec<_> = seen.found.iter().map(|(_, found)| found.clone()).collect();
        Shown::of(&self.engine, text, &found, (asks.bytes, asks.from))
    }
}

/// What a layer said of a text. Of a doubtful text that nobody was asked about there were too many.
fn said(opinions: &[Opinion], terms: &Terms, key: [u8; 16]) -> Said {
    let own = opinions.iter().find(|held| held.text == key && held.layer == terms.layer);
    own.map_or(Said::Nothing(Silence::TooMany), |held| held.said)
}

/// Whether the classifier alone found something, and is not sure.
fn is_weak(found: &[(&RuleSpec, Found<'_>)]) -> bool {
    let weak = |found: &Found<'_>| found.rule == CLASSIFIER && !found.votes.rules && found.score < SURE;
    !found.is_empty() && found.iter().all(|(_, found)| weak(found))
}

fn unasked(terms: &Terms, why: &str) -> String {
    format!("{}: {why}, and nothing doubtful passes without its word.", terms.layer.as_str())
}
