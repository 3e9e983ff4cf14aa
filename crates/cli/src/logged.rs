//! What the log says as text: what is in a field stays in it.
//!
//! **Threat.** Much of what is logged was said by somebody else: a token, a server, an issuer. A text with a line end, or with
//! ` from=192.0.2.1` in it, would read like another entry or another field. So a value that is more than one plain word stands in
//! quotes, with everything escaped that is not seen. The message comes first and is Bartizan's own.

use std::fmt::{self, Debug, Write};

use bartizan_mcp::is_unseen;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{MakeVisitor, VisitFmt, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, Writer};

/// Fields of which each is one.
pub(crate) struct Quoted;

/// Writes them.
pub(crate) struct Quoting<'a>(DefaultVisitor<'a>);

impl<'a> MakeVisitor<Writer<'a>> for Quoted {
    type Visitor = Quoting<'a>;

    fn make_visitor(&self, target: Writer<'a>) -> Quoting<'a> {
        Quoting(DefaultFields::new().make_visitor(target))
    }
}

impl Visit for Quoting<'_> {
    /// A text stands in quotes in any case.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.record_str(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            return self.0.record_debug(field, value);
        }
        let text = format!("{value:?}");
        if is_word(&text) {
            self.0.record_debug(field, &format_args!("{text}"));
        } else {
            self.0.record_str(field, &text);
        }
    }
}

impl VisitOutput<fmt::Result> for Quoting<'_> {
    fn finish(self) -> fmt::Result {
        self.0.finish()
    }
}

impl VisitFmt for Quoting<'_> {
    fn writer(&mut self) -> &mut dyn Write {
        self.0.writer()
    }
}

/// Whether nobody can take it for more than one value.
fn is_word(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !is_unseen(c) && !matches!(c, '"' | '=' | '\\');
    !text.is_empty() && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;

    /// What is written while `say` logs.
    fn logged(say: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let builder = tracing_subscriber::fmt().fmt_fields(Quoted).with_ansi(false).with_target(false).without_time();
        let writer = Arc::new(File::create(file.path()).unwrap());
        tracing::subscriber::with_default(builder.with_writer(writer).finish(), say);
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn hostile_text_stays_within_its_field() {
        for text in
            ["x from=1.2.3.4", "x\n WARN it is fine from=1.2.3.4", "\" from=1.2.3.4 x=\"", "\u{1b}[2K from=1.2.3.4", ""]
        {
            let line =
                logged(|| tracing::warn!(server = "web", from = %"192.0.2.1", error = %text, why = text, "it fails"));
            let (before, error) = line.split_once(" error=").unwrap();
            assert_eq!(before, " WARN it fails server=\"web\" from=192.0.2.1", "{line}");
            // As a text of Rust, and so twice the same.
            assert_eq!(error, format!("{text:?} why={text:?}\n"));
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn what_is_one_word_stands_as_it_is() {
        let line = logged(|| {
            let (none, address) = (None::<&str>, "[2001:db8::1]:8484");
            tracing::info!(none, more = 3, good = true, at = %address, path = %"/srv/a-b_c.db", code = %"invalid_grant", "as it is");
        });
        assert_eq!(
            line,
            format!(
                " INFO as it is more=3 good=true at={} path=/srv/a-b_c.db code=invalid_grant\n",
                "[2001:db8::1]:8484"
            )
        );
    }
}
