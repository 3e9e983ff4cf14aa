//! Finds characters that are not seen, or that change how others are seen.

use super::class::{Class, classify, is_seen, sequence_end};
use super::direction::Paragraph;
use super::{Hidden, Kind, MAX_CHARACTERS, script, skip};

/// Adds what is found to `found`, in order.
pub(super) fn find(text: &str, found: &mut Vec<Hidden>) {
    let mut refused = Excess::default();
    // Once for most texts, and once more for each sort of character that turns out to be too frequent in it.
    loop {
        let before = found.len();
        let excess = refused.and(look_through(text, refused, found).excess(text));
        if excess == refused {
            break;
        }
        refused = excess;
        found.truncate(before);
    }
}

fn look_through(text: &str, refused: Excess, found: &mut Vec<Hidden>) -> Share {
    let mut look = Look { text, kept_from: 0, paragraph: Paragraph::default(), refused, share: Share::default() };
    let mut at = 0;
    loop {
        at = skip::next_character(text.as_bytes(), at);
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let next = at + c.len_utf8();
        let Some(class) = classify(c) else {
            at = next;
            continue;
        };
        match look.judge(class, c, at, next) {
            Judgement::Stays(end) => at = end,
            Judgement::Hidden(..) if found.len() >= MAX_CHARACTERS => {
                found.push(Hidden { kind: Kind::Flood, span: at..text.len() });
                break;
            }
            Judgement::Hidden(kind, end) => {
                push(found, kind, at, end);
                look.kept_from = end;
                at = end;
            }
        }
    }
    look.share
}

/// Neighbours of one kind are one span.
fn push(found: &mut Vec<Hidden>, kind: Kind, start: usize, end: usize) {
    match found.last_mut() {
        Some(last) if last.kind == kind && last.span.end == start => last.span.end = end,
        _ => found.push(Hidden { kind, span: start..end }),
    }
}

/// What becomes of a character, and where the next one begins.
enum Judgement {
    Stays(usize),
    Hidden(Kind, usize),
}

struct Look<'t> {
    text: &'t str,
    /// Where the last hidden span ends: a character that touches it has lost that neighbour.
    kept_from: usize,
    paragraph: Paragraph,
    /// What has turned out to be too frequent to stay.
    refused: Excess,
    /// What has stayed so far.
    share: Share,
}

impl Look<'_> {
    fn judge(&mut self, class: Class, c: char, at: usize, next: usize) -> Judgement {
        let (before, after) = (self.before(at), self.from(next));
        let (kind, stays) = match class {
            Class::Always(kind) => (kind, false),
            Class::Sequence => {
                let end = sequence_end(self.text, at, c).unwrap_or(next);
                return Judgement::Hidden(Kind::Terminal, end);
            }
            Class::Tag => match self.flag(before, at) {
                Some(end) => return Judgement::Stays(end),
                None => (Kind::Tags, false),
            },
            Class::Lone => return self.lone(before, after, next),
            Class::Space if between(before, after, script::unspaced) => (Kind::ZeroWidth, self.joins()),
            Class::Space => return self.lone(before, after, next),
            Class::Joiner => {
                let joins_emoji = c == '\u{200D}'
                    && after.is_some_and(script::emoji)
                    && before.is_some_and(|before| script::emoji(before) || before == '\u{FE0F}');
                // At the end of a word it keeps the letter before in the shape that it has within one.
                let shapes = before.is_some_and(script::joining)
                    && after.is_none_or(|after| !matches!(classify(after), Some(Class::Joiner)));
                (Kind::ZeroWidth, joins_emoji || shapes && self.joins())
            }
            Class::MongolianSeparator if before.is_some_and(script::mongolian) => (Kind::ZeroWidth, self.joins()),
            Class::MongolianSeparator => (Kind::ZeroWidth, false),
            Class::ByteOrderMark if at == 0 => (Kind::ZeroWidth, true),
            Class::ByteOrderMark => return self.lone(before, after, next),
            Class::BrailleBlank if self.refused.blanks => return self.lone(before, after, next),
            Class::BrailleBlank => {
                self.share.blanks += 1;
                (Kind::ZeroWidth, true)
            }
            Class::Hieroglyphic => (Kind::Format, between(before, after, script::hieroglyph)),
            Class::KhitanFiller => (Kind::ZeroWidth, before.is_some_and(script::khitan)),
            Class::Direction => (Kind::Bidi, self.paragraph.explains(self.text, at)),
            Class::Selector => {
                let alone = after.is_none_or(|after| !matches!(classify(after), Some(Class::Selector)));
                (Kind::Variation, alone && before.is_some_and(|base| script::varies(base, c)) && self.selects(c))
            }
            Class::SoftHyphen => (Kind::Format, self.hyphenates(at, next)),
            Class::CarriageReturn => (Kind::Overwrite, matches!(after, None | Some('\n'))),
        };
        if stays { Judgement::Stays(next) } else { Judgement::Hidden(kind, next) }
    }

    /// A character without width that is alone between two that are seen hides little, and typesetting puts it there.
    fn lone(&mut self, before: Option<char>, after: Option<char>, next: usize) -> Judgement {
        let alone = between(before, after, |c| is_seen(c) && !c.is_whitespace()) && !self.refused.lone;
        self.share.lone += usize::from(alone);
        Judgement::Hidden(if alone { Kind::Stray } else { Kind::ZeroWidth }, next)
    }

    /// Whether what shapes or separates letters may stay.
    fn joins(&mut self) -> bool {
        self.share.joining += 1;
        !self.refused.joining
    }

    /// The same for a selector that has something to select.
    fn selects(&mut self, selector: char) -> bool {
        match selector {
            '\u{FE0E}' | '\u{FE0F}' => {
                let style = usize::from(selector == '\u{FE0F}');
                self.share.styles.get_mut(style).into_iter().for_each(|count| *count += 1);
                !self.refused.styles
            }
            '\u{180B}'..='\u{180F}' => self.joins(),
            _ => {
                self.share.variants += 1;
                !self.refused.variants
            }
        }
    }

    /// Whether a word can be divided there, which leaves two letters at least on either side.
    fn hyphenates(&self, at: usize, next: usize) -> bool {
        let letter = |c: &char| is_seen(*c) && !c.is_whitespace() && !c.is_ascii_punctuation();
        let before = self.text.get(self.kept_from..at).unwrap_or_default().chars().rev().take(2).filter(letter).count();
        let after = self.text.get(next..).unwrap_or_default().chars().take(2).filter(letter).count();
        before == 2 && after == 2
    }

    /// The character before `at`, if it stays.
    fn before(&self, at: usize) -> Option<char> {
        self.text.get(self.kept_from..at)?.chars().next_back()
    }

    fn from(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    /// The end of a flag that is spelled in tags behind a black flag. Only these three are shown as flags anywhere (UTS
    /// 51, ED-27); any other region would be five letters that nobody sees.
    fn flag(&self, before: Option<char>, at: usize) -> Option<usize> {
        const ENGLAND: &str = "\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
        const SCOTLAND: &str = "\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}";
        const WALES: &str = "\u{E0067}\u{E0062}\u{E0077}\u{E006C}\u{E0073}\u{E007F}";
        if before != Some('\u{1F3F4}') {
            return None;
        }
        let rest = self.text.get(at..)?;
        [ENGLAND, SCOTLAND, WALES].iter().find(|tags| rest.starts_with(**tags)).map(|tags| at + tags.len())
    }
}

/// How many characters stay that could also be there to carry data, each for a bit or more.
#[derive(Default)]
struct Share {
    /// Alone between two that are seen.
    lone: usize,
    /// Those that shape or separate letters.
    joining: usize,
    /// Selectors of the look of a symbol: as text, as a picture.
    styles: [usize; 2],
    /// Other selectors.
    variants: usize,
    /// Braille patterns without a dot.
    blanks: usize,
}

/// Of which there are more than honest texts have.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Excess {
    lone: bool,
    joining: bool,
    styles: bool,
    variants: bool,
    blanks: bool,
}

impl Share {
    /// What exceeds its share, measured in characters that are there whatever is taken away.
    fn excess(&self, text: &str) -> Excess {
        let count = |of: fn(char) -> bool| text.chars().filter(|c| of(*c)).count();
        let [plain, picture] = self.styles;
        Excess {
            lone: self.lone > 4 && self.lone > 4 + seen(text) / 16,
            joining: self.joining > 2 && self.joining > 2 + count(|c| script::joining(c) || script::unspaced(c)) / 3,
            // Many texts ask for one of the two looks throughout; to mix them has a purpose now and then.
            styles: plain.min(picture) > 4 + (plain + picture) / 16,
            // Pictures made of Braille are mostly blank.
            blanks: self.blanks > 0 && self.blanks > 16 * count(script::braille),
            variants: self.variants > 3 && self.variants > 3 + count(script::han) / 16,
        }
    }
}

impl Excess {
    fn and(self, other: Excess) -> Excess {
        Excess {
            lone: self.lone | other.lone,
            joining: self.joining | other.joining,
            styles: self.styles | other.styles,
            variants: self.variants | other.variants,
            blanks: self.blanks | other.blanks,
        }
    }
}

/// Characters that are seen, without those of terminal sequences.
fn seen(text: &str) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        count += usize::from(is_seen(c));
        at = sequence_end(text, at, c).unwrap_or(at + c.len_utf8());
    }
    count
}

fn between(before: Option<char>, after: Option<char>, of: impl Fn(char) -> bool) -> bool {
    before.is_some_and(&of) && after.is_some_and(&of)
}
