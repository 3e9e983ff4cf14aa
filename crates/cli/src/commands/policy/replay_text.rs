//! What `bartizan policy test --replay` prints for people.

use std::fmt::Write;

use super::replay::{About, Example, Replayed, Told};
use crate::text::{inline, printable};

/// So many of a kind are listed; of more nobody reads all.
const LISTED: usize = 50;

impl Replayed {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.files(&mut text);
        // What is decided now in the order of how much it matters: what passes that did not comes first.
        for (now, title) in
            [("allow", "now allowed"), ("transform", "now edited"), ("approve", "now asks"), ("deny", "now denied")]
        {
            let all: Vec<_> = self.changes.iter().filter(|change| change.now.decision == now).collect();
            if !all.is_empty() {
                let _ = writeln!(text, "\n{title}");
            }
            for change in all.iter().take(LISTED) {
                let _ = writeln!(text, "  {} × {}", change.messages, inline(&change.about.to_string()));
                let _ = writeln!(
                    text,
                    "      {} -> {}",
                    inline(&change.before.to_string()),
                    inline(&change.now.to_string())
                );
                if let Some(why) = &change.why {
                    let _ = writeln!(text, "      {}", inline(why));
                }
                examples(&change.examples, &mut text);
            }
            more(all.len(), &mut text);
        }
        if !self.unjudged.is_empty() {
            let _ = writeln!(text, "\ncannot be judged");
        }
        for obstacle in self.unjudged.iter().take(LISTED) {
            let about = obstacle.about.as_ref().map(|about| format!(" × {about}")).unwrap_or_default();
            let _ = writeln!(text, "  {}{}: {}", obstacle.messages, inline(&about), obstacle.why);
            examples(&obstacle.examples, &mut text);
        }
        more(self.unjudged.len(), &mut text);
        if self.further > 0 {
            let _ = writeln!(text, "\nand {} messages in more kinds of change than are told apart", self.further);
        }
        self.sum(&mut text);
        text
    }

    fn files(&self, text: &mut String) {
        for file in &self.files {
            let note = match (&file.fault, file.end) {
                (Some(fault), _) => format!(": {fault}"),
                (None, "open") => ": it was not closed, so it is still being written, or its end is missing".to_owned(),
                (None, "torn") => {
                    ": it ends within a record, as whoever wrote it was killed or its end was cut off".to_owned()
                }
                (None, "copy") => ": a copy of another file here, so it was left out".to_owned(),
                (None, _) => String::new(),
            };
            let missing = if file.missing > 0 { format!(", {} missing", file.missing) } else { String::new() };
            let _ = writeln!(text, "{}  {} captured{missing}{}", printable(&file.file), file.records, inline(&note));
        }
    }

    fn sum(&self, text: &mut String) {
        let under: Vec<_> = self.captured_under.iter().map(String::as_str).collect();
        let now = self.policies.as_deref().unwrap_or("none");
        let _ = writeln!(text);
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            let _ = writeln!(
                text,
                "captured {from} to {to} under policies {}; judged by {}",
                inline(&under.join(", ")),
                inline(now)
            );
        }
        let unjudged: u64 = self.unjudged.iter().map(|obstacle| obstacle.messages).sum();
        let edited = if self.now_edited > 0 { format!(", {} now edited", self.now_edited) } else { String::new() };
        let _ = writeln!(
            text,
            "{} same, {} now denied, {} now asks{edited}, {} now allowed; {unjudged} cannot be judged",
            self.same, self.now_denied, self.now_asks, self.now_allowed
        );
    }
}

/// Says that there are more of them than are listed.
fn more(all: usize, text: &mut String) {
    if all > LISTED {
        let _ = writeln!(text, "  and {} more, which --json lists", all - LISTED);
    }
}

fn examples(examples: &[Example], text: &mut String) {
    for Example { entry, at, arguments } in examples {
        let _ = writeln!(text, "      {at}  {}", inline(entry.as_deref().unwrap_or("not in the log")));
        if let Some(arguments) = arguments {
            let _ = writeln!(text, "          {}", inline(arguments));
        }
    }
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let About { principal, server, method, name } = self;
        write!(f, "{principal}: {} {server}", method.as_deref().unwrap_or("answer of"))?;
        if let Some(name) = name {
            write!(f, "/{name}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "{} ({rule})", self.decision),
            None => f.write_str(&self.decision),
        }
    }
}
