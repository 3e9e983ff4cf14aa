//! What the demo prints: a line or two for each step, at most 100 columns wide wherever we choose the words.

use bartizan_audit::{Fault, Report};
use bartizan_demo::{Demo, Seen, Step};
use serde_json::json;

use crate::output::Paint;
use crate::text::inline;

/// Columns before what a step says.
const MARGIN: usize = 19;
/// Columns in all.
const WIDTH: usize = 100;

/// The words for one demo.
pub(super) struct Page<'a> {
    demo: &'a Demo,
    /// It only records.
    observe: bool,
    /// Its log is there when the page has been read.
    stays: bool,
    paint: Paint,
}

impl<'a> Page<'a> {
    pub(super) fn of(demo: &'a Demo, observe: bool, stays: bool, paint: Paint) -> Self {
        Page { demo, observe, stays, paint }
    }

    pub(super) fn head(&self) -> String {
        let (name, address) = (self.paint.bold("bartizan"), self.demo.address());
        let how = if self.observe { "only recording" } else { "with the default settings" };
        let what = format!("in front of an honest server and a hostile one, {how}");
        format!("{name} {address}  {}\n", self.paint.dim(&what))
    }

    pub(super) fn step(&self, step: &Step) -> String {
        let (mark, decision) = match (&step.seen, step.is_as_expected()) {
            (Seen::Passed, true) => ("✔ passed ", "allow"),
            (Seen::Cleaned(_), true) => ("~ cleaned", "transform"),
            (Seen::Stopped(_), true) => ("✘ stopped", "deny"),
            _ if self.is_let_through(step) => ("! through", "transform"),
            _ => ("! failed ", "deny"),
        };
        // An id that nothing could explain any more would only be tried in vain.
        let id = step.seen.stop().filter(|_| self.stays).map_or("", |stop| &*stop.decision);
        let room = (WIDTH - MARGIN).saturating_sub(id.len());
        // A word may not end where the id begins.
        let what = cut(&step.what, room.saturating_sub(usize::from(!id.is_empty())));
        let line = format!("{} {:8} {what}", self.paint.like(decision, mark), step.from);
        match &step.seen {
            Seen::Stopped(stop) | Seen::Cleaned(stop) => {
                let room = room.saturating_sub(what.chars().count());
                let why = cut(&stop.why, (WIDTH - MARGIN).saturating_sub(stop.rule.len() + 2));
                let rule = self.paint.bold(&stop.rule);
                let head = format!("{line}{:room$}{}", "", self.paint.dim(id));
                format!("{}\n{:MARGIN$}{rule}  {why}", head.trim_end(), "")
            }
            Seen::Passed if step.is_as_expected() => line,
            Seen::Passed if self.is_let_through(step) => {
                format!("{line}\n{:MARGIN$}passed through: nothing stops it in observe", "")
            }
            Seen::Passed => format!("{line}\n{:MARGIN$}it should have been {}", "", step.expected),
            Seen::Otherwise { why } => {
                format!("{line}\n{:MARGIN$}should be {}: {}", "", step.expected, cut(why, WIDTH - MARGIN - 20))
            }
        }
    }

    /// Whether it came through because nothing was to stop it.
    fn is_let_through(&self, step: &Step) -> bool {
        self.observe && step.got_through()
    }

    pub(super) fn summary(&self, steps: &[Step], verified: &Result<Report, Fault>) -> String {
        let count = |name: &str| steps.iter().filter(|step| step.seen.name() == name).count();
        let counts = format!("{} passed, {} stopped, {} cleaned", count("passed"), count("stopped"), count("cleaned"));
        let through = steps.iter().filter(|step| self.is_let_through(step)).count();
        let wrong = steps.iter().filter(|step| !step.is_as_expected()).count() - through;
        let judgement = match wrong {
            0 if through > 0 => {
                let said = format!("{through} got through because of observe");
                self.paint.like("transform", &said).to_string()
            }
            0 => self.paint.like("allow", "each as it should be").to_string(),
            wrong => self.paint.like("deny", &format!("{wrong} not as it should be")).to_string(),
        };
        let log = match verified {
            Ok(report) => {
                let entries = self.paint.like("allow", &format!("{} entries verify", report.entries)).to_string();
                format!("audit log: {entries}")
            }
            Err(fault) => {
                let broken = self.paint.like("deny", "broken").to_string();
                format!("audit log: {broken}: {}", inline(&fault.to_string()))
            }
        };
        format!("\n{} · {judgement} · {log}", self.paint.bold(&counts))
    }

    /// What there is to know when the gateway is gone.
    pub(super) fn farewell(&self) -> String {
        let how = "its log is removed; without --once it stays, and each decision has an id to ask about";
        format!("\n{:8} {how}", self.paint.dim("why"))
    }

    /// What to try next, while the gateway stays up.
    pub(super) fn invitation(&self, steps: &[Step]) -> String {
        let (program, url) = (program(), self.demo.url());
        let entry = json!({"mcpServers": {"bartizan-demo": {"type": "http", "url": url}}});
        let ask = steps
            .iter()
            .find_map(|step| step.seen.stop())
            .map(|stop| ("why", format!("{program} why {} --log {}", stop.decision, self.demo.audit().display())));
        let hints = [
            ("connect", entry.to_string()),
            ("or", format!("claude mcp add --transport http bartizan-demo {url}")),
            ("wrap", format!("{program} run -- COMMAND…, for a stdio server you already use")),
            ("end", "Ctrl-C; its files are removed".to_owned()),
        ];
        let line = |(what, how): (&str, String)| format!("\n{:8} {}", self.paint.dim(what), inline(&how));
        ask.into_iter().chain(hints).map(line).collect()
    }
}

/// What to type for this program: as it was started.
fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "bartizan".to_owned())
}

/// The text on one line and made printable, cut to so many characters.
fn cut(text: &str, width: usize) -> String {
    let text = inline(text);
    if text.chars().count() <= width {
        return text;
    }
    let short: String = text.chars().take(width.saturating_sub(1)).collect();
    // Rather no end than half a word, if there is a space to cut at.
    match short.rsplit_once(' ') {
        Some((words, half)) if half.chars().count() < 16 => format!("{words}…"),
        _ => format!("{short}…"),
    }
}
