//! The report for a person.

use std::fmt::Write;

use bartizan_guard::Mode;
use bartizan_guard::guards::ALL;
use bartizan_redteam::{Fate, Report, Tally};

use crate::output::Paint;
use crate::text::inline;

/// So many that came through are named, unless all are wanted.
const FEW: usize = 10;

pub(super) fn text(report: &Report, all: bool) -> String {
    let paint = Paint::for_stdout();
    let mut out = tried(report);
    let head = format!("\n{:14} {:>7} {:>7}  {:>4}  {}", "attacks", "sent", "stopped", "", "by");
    let _ = writeln!(out, "{}", paint.bold(&head));
    report.families().iter().for_each(|(family, tally)| row(&mut out, family, tally));
    row(&mut out, "all", report.attacks());
    let head = format!("{:14} {:>7} {:>7}", "disguised", "sent", "stopped");
    let _ = writeln!(out, "\n{}", paint.bold(&head));
    report.mutations().iter().for_each(|(mutation, tally)| row(&mut out, mutation, tally));
    let head = format!("{:14} {:>7} {:>7}", "honest texts", "sent", "stopped");
    let _ = writeln!(out, "\n{}", paint.bold(&head));
    row(&mut out, "all", report.benign());
    let attacks = report.attacks();
    let (marked, observed) = (attacks.count(Fate::Marked), attacks.count(Fate::Observed));
    let through = attacks.count(Fate::Through);
    let _ = writeln!(
        out,
        "\nOf the attacks that came through: noticed and recorded {observed}, marked as content from outside {marked}, passed as if \
         it was nothing {through}."
    );
    let redacted = attacks.count(Fate::Redacted);
    if redacted > 0 {
        let _ = writeln!(
            out,
            "Of those that were stopped {redacted} lost a part of their text, and the rest of it arrived."
        );
    }
    if let Some(rule) = report.refused_by() {
        let _ = writeln!(
            out,
            "Nearly all honest texts were stopped, by {rule}, so the above says little about attacks. If it is about who asks: --as NAME \
             and --role ROLE ask as somebody who may."
        );
    }
    named(&mut out, "came through", attacks.ids(), all);
    named(&mut out, "honest texts that were stopped", report.benign().ids(), all);
    out
}

/// What was tried: which file, in which mode, for which servers, and with which guards.
fn tried(report: &Report) -> String {
    let file = report.config().map_or("none, so the defaults".to_owned(), inline);
    let servers = report.servers().join(", ");
    let missing: Vec<_> = ALL.iter().map(|spec| spec.name).filter(|name| !report.guards().contains(name)).collect();
    let missing = missing.join(", ");
    let mode = report.mode();
    let nothing = if mode == Mode::Observe.as_str() { ", so nothing is stopped" } else { "" };
    format!(
        "configuration  {file}\nmode           {mode}{nothing}\nservers        {servers} (something else stood in; none was started or called)\n\
         guards         all but {missing}\n"
    )
}

fn row(out: &mut String, name: &str, tally: &Tally) {
    let (sent, stopped) = (tally.sent(), tally.stopped());
    // Rounded: what is cut off makes false alarms look fewer.
    let percent = (stopped * 100 + sent / 2).checked_div(sent).unwrap_or_default();
    let mut by: Vec<_> = tally.by().into_iter().map(|(rule, count)| format!("{rule} {count}")).collect();
    let more = by.len().saturating_sub(3);
    by.truncate(3);
    if more > 0 {
        by.push(format!("{more} more"));
    }
    let line = format!("{name:14} {sent:7} {stopped:7}  {percent:3}%  {}", by.join(", "));
    let _ = writeln!(out, "{}", line.trim_end());
}

fn named(out: &mut String, what: &str, ids: &[String], all: bool) {
    if ids.is_empty() {
        return;
    }
    let shown = if all { ids.len() } else { FEW };
    let few: Vec<_> = ids.iter().take(shown).map(String::as_str).collect();
    let more = ids.len().saturating_sub(shown);
    let more = if more > 0 { format!(" and {more} more (--all names them)") } else { String::new() };
    let _ = writeln!(out, "{what} (--show ID prints one): {}{more}", few.join(", "));
}
