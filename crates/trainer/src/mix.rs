//! Texts to learn from that nobody wrote: what grammars make, put into honest texts, and the honest texts without it.

use std::collections::BTreeMap;

use bartizan_detect::Kind;

use crate::data::Row;
use crate::grammar::Grammar;
use crate::random::Random;

/// Grammars by what they make.
#[derive(Debug)]
pub(crate) struct Grammars {
    pub(crate) attack: Vec<Grammar>,
    pub(crate) benign: Vec<Grammar>,
}

/// How many benign texts are drawn for an attack: there are fewer grammars of them, and more ways to be honest.
const BENIGN: usize = 3;

/// Grammars of this name make whole descriptions of tools.
const OF_TOOLS: &str = "tool_";

impl Grammars {
    /// The same without the families of which `held` says so.
    pub(crate) fn without(&self, held: impl Fn(&str) -> bool) -> (Vec<&Grammar>, Vec<&Grammar>) {
        let kept =
            |all: &'_ [Grammar]| -> Vec<usize> { (0..all.len()).filter(|index| !held(&all[*index].family)).collect() };
        (
            kept(&self.attack).into_iter().map(|index| &self.attack[index]).collect(),
            kept(&self.benign).into_iter().map(|index| &self.benign[index]).collect(),
        )
    }
}

/// `each` texts of every grammar. Attacks in content stand in a piece of an honest text of `rows` most of the time, and that
/// piece is among the benign texts as well; so is what benign grammars make, by itself and in such a piece.
pub(crate) fn generated(
    rows: &[&Row],
    attack: &[&Grammar],
    benign: &[&Grammar],
    each: usize,
    random: &mut Random,
) -> Vec<Row> {
    let carriers = Carriers::of(rows);
    let mut made = Vec::new();
    for (grammars, is_attack) in [(attack, true), (benign, false)] {
        for grammar in grammars {
            for _ in 0..if is_attack { each } else { each * BENIGN } {
                let text = grammar.draw(random);
                let of_tool = grammar.family.starts_with(OF_TOOLS);
                let kind = match grammar.family.as_str() {
                    "user_prompts" => Kind::UserPrompt,
                    _ if of_tool => Kind::ToolDescription,
                    _ => Kind::Document,
                };
                let carrier =
                    (!of_tool && kind == Kind::Document && random.below(5) > 0).then(|| carriers.piece(random));
                let row = |text, attack| Row {
                    text,
                    attack,
                    kind,
                    source: format!("{}_{}", if attack { "attack" } else { "benign" }, grammar.family),
                    family: grammar.family.clone(),
                };
                if let Some(carrier) = carrier.filter(|carrier| !carrier.is_empty()) {
                    made.push(row(insert(carrier, &text, random), is_attack));
                    if is_attack {
                        made.push(Row { source: "carrier".to_owned(), ..row(carrier.to_owned(), false) });
                    }
                } else {
                    made.push(row(text, is_attack));
                }
            }
        }
    }
    made
}

/// Honest texts, by source: the small ones are heard as often as the large ones.
struct Carriers<'a>(Vec<Vec<&'a str>>);

impl<'a> Carriers<'a> {
    fn of(rows: &[&'a Row]) -> Carriers<'a> {
        let mut by_source: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.attack && matches!(row.kind, Kind::Document | Kind::ToolResult)) {
            if row.text.len() > 60 {
                by_source.entry(&row.source).or_default().push(&row.text);
            }
        }
        Carriers(by_source.into_values().collect())
    }

    /// A piece of about 100 to 1,000 bytes of one of them.
    fn piece(&self, random: &mut Random) -> &'a str {
        let text = random.pick(&self.0).and_then(|texts| random.pick(texts)).copied().unwrap_or_default();
        let size = 100 + random.below(900);
        if text.len() <= size {
            return text;
        }
        let from = text.ceil_char_boundary(random.below(text.len() - size));
        // Not from within a word.
        let from = text[from..].find([' ', '\n']).map_or(from, |blank| from + blank + 1);
        let to = text.floor_char_boundary((from + size).min(text.len()));
        text.get(from..to).unwrap_or_default()
    }
}

/// Puts `text` into `carrier`: at its end, at its beginning, or after a mark.
fn insert(carrier: &str, text: &str, random: &mut Random) -> String {
    let marks: Vec<usize> =
        carrier.match_indices(['\n', '.', '}', ',', ';']).map(|(at, mark)| at + mark.len()).collect();
    let at = match random.below(5) {
        0 => carrier.len(),
        1 => 0,
        _ => random.pick(&marks).copied().unwrap_or(carrier.len()),
    };
    let blank = [" ", "\n", "\n\n", " ", "  "][random.below(5)];
    let (before, after) = carrier.split_at(at);
    format!("{before}{blank}{text}{blank}{after}")
}
