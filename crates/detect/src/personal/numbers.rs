//! What clusters of digits and capital letters are: each group, and each few groups together, is tried as everything.

use std::ops::Range;

use super::cluster::{Cluster, MOST_GROUPS, Number};
use super::context::{Context, Words, class};
use super::ids::{self, Identifier};
use super::{Hit, PersonalKind, bank, check, phone};

/// What is looked for, made ready once.
#[derive(Debug)]
pub(super) struct Numbers {
    words: Words,
    /// For each length, which identifiers may be that long, by their place in the list of all.
    by_length: Vec<Vec<usize>>,
    ids: Vec<&'static Identifier>,
}

impl std::fmt::Debug for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Fewer digits are no number of anybody's.
const FEWEST: usize = 4;
/// Nor are fewer digits and letters, so that a year needs no words beside it.
const SHORTEST: usize = 5;
/// The longest identifier.
const LONGEST_ID: usize = 18;

/// One window of a cluster with what stands around it.
struct Seen<'s> {
    number: Number<'s>,
    context: Context,
    lengths: &'s [usize],
}

impl Seen<'_> {
    fn near(&self, classes: u32) -> bool {
        self.context.near.of(classes)
    }

    /// A hit, surer if the nearest word says so.
    fn hit(&self, kind: PersonalKind, name: &'static str, confidence: u16) -> Hit {
        Hit::new(kind, name, self.number.start..self.number.end, confidence)
    }
}

impl Numbers {
    pub(super) fn built_in() -> Numbers {
        let ids: Vec<_> = ids::all().collect();
        let mut by_length = vec![Vec::new(); LONGEST_ID + 1];
        for (index, id) in ids.iter().enumerate() {
            for shape in id.shapes {
                if let Some(held) = by_length.get_mut(shape.len()).filter(|held| held.last() != Some(&index)) {
                    held.push(index);
                }
            }
        }
        Numbers { words: Words::built_in(), by_length, ids }
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// Looks at all clusters of a text.
    pub(super) fn look(&self, text: &str, hits: &mut Vec<Hit>) {
        Cluster::each(text, |cluster| {
            // A long row of numbers stands far from the words before it.
            for start in (0..cluster.groups.len()).step_by(STRIDE) {
                self.look_from(text, &cluster.groups, start, hits);
            }
        });
    }

    /// Looks at the windows that begin within one stride.
    fn look_from(&self, text: &str, groups: &[Range<usize>], first: usize, hits: &mut Vec<Hit>) {
        let last = (first + STRIDE + MOST_GROUPS - 1).min(groups.len());
        let Some(reach) = groups.get(first..last) else { return };
        let (Some(begin), Some(end)) = (reach.first(), reach.last()) else { return };
        let digits = |group: &Range<usize>| {
            text.as_bytes().get(group.clone()).unwrap_or_default().iter().filter(|byte| byte.is_ascii_digit()).count()
        };
        let long = reach.iter().map(Range::len).sum::<usize>() >= SHORTEST;
        if !long || reach.iter().map(digits).sum::<usize>() < FEWEST || is_uuid(groups) {
            return;
        }
        let context = self.words.around(text, begin.start, end.end);
        let mut from = 0;
        while from < STRIDE.min(reach.len()) {
            let Some(rest) = reach.get(from..) else { break };
            let held = phones(text, rest, context, hits);
            let lengths = Number::lengths(rest);
            for count in 1..=rest.len().min(MOST_GROUPS) {
                let (Some(window), Some(lengths)) = (rest.get(..count), lengths.get(..count)) else { break };
                let Some(number) = Number::of(text, window) else { break };
                // Nothing is written digit by digit.
                if number.digits >= 4 && number.compact().len() + 1 >= 2 * count && stands_alone(text, window) {
                    self.judge(&Seen { number, context, lengths }, hits);
                }
            }
            // What is of a number of a telephone begins no other one.
            from += held.max(1);
        }
    }

    fn judge(&self, seen: &Seen<'_>, hits: &mut Vec<Hit>) {
        let number = &seen.number;
        let text = number.compact();
        if number.is_digits() && text.len() >= 12 && bank::is_grouped_as_card(seen.lengths) {
            let sure = bank::card(text);
            let told = if seen.near(class::CARD) { 970 } else { 920 };
            match sure {
                0 => {}
                _ if seen.context.all.of(class::CARD) => hits.push(seen.hit(PersonalKind::PaymentCard, CARD, told)),
                300 => {}
                _ if seen.near(class::OTHER) => {
                    hits.push(seen.hit(PersonalKind::PaymentCard, CARD, sure.saturating_sub(150)));
                }
                _ => hits.push(seen.hit(PersonalKind::PaymentCard, CARD, sure)),
            }
        }
        if text.len() >= 15 && text.first().is_some_and(u8::is_ascii_uppercase) && bank::is_iban(text) {
            hits.push(seen.hit(PersonalKind::Iban, "iban", 980));
        }
        self.identify(seen, hits);
        by_context(seen, hits);
        date(seen, hits);
    }

    /// Tries all identifiers of that length.
    fn identify(&self, seen: &Seen<'_>, hits: &mut Vec<Hit>) {
        let (text, raw) = (seen.number.compact(), seen.number.raw);
        let Some(indices) = self.by_length.get(text.len()) else { return };
        let mut best: Option<(u16, &Identifier)> = None;
        for index in indices {
            let Some(id) = self.ids.get(*index) else { continue };
            let named = seen.context.all.is_of_id(*index);
            let generic = match id.kind {
                PersonalKind::NationalId => class::NATIONAL,
                PersonalKind::TaxId => class::TAX,
                PersonalKind::HealthId => class::HEALTH,
                PersonalKind::DrivingLicence => class::LICENCE,
                _ => 0,
            };
            let generic = seen.near(generic);
            if !(named || generic || id.alone > 0 || (id.formed > 0 && seen.lengths.len() > 1)) {
                continue;
            }
            let formed = id.formed > 0 && id.forms.iter().any(|form| ids::has_shape(raw.as_bytes(), form));
            let mut sure = if formed { id.formed } else { id.alone };
            if seen.near(class::OTHER) && !named {
                sure = sure.saturating_sub(250);
            }
            if named {
                sure = sure.max(if seen.context.near.is_of_id(*index) { 960 } else { 800 });
            } else if generic {
                sure = sure.max(750);
            }
            if sure > best.map_or(FLOOR, |(held, _)| held)
                && id.shapes.iter().any(|shape| ids::has_shape(text, shape))
                && (id.check)(text)
            {
                best = Some((sure, id));
            }
        }
        if let Some((sure, id)) = best {
            hits.push(seen.hit(id.kind, id.name, sure));
        }
    }
}

/// Windows that share one look at what stands around them.
const STRIDE: usize = 12;
/// What is less sure is not told.
const FLOOR: u16 = 399;
const CARD: &str = "payment_card";

/// What only the words beside it make a number of.
fn by_context(seen: &Seen<'_>, hits: &mut Vec<Hit>) {
    const ANY: u32 = class::PASSPORT
        | class::LICENCE
        | class::ACCOUNT
        | class::ROUTING
        | class::SORT
        | class::HEALTH
        | class::TAX
        | class::NATIONAL;
    if !seen.near(ANY) || seen.lengths.len() > 6 {
        return;
    }
    let (number, text) = (&seen.number, seen.number.compact());
    let (length, digits) = (text.len(), number.digits);
    if is_years(number.raw, seen.lengths) || is_date(seen).is_some() || number.raw.contains('.') {
        return;
    }
    let mut add = |kind, name, confidence| hits.push(seen.hit(kind, name, confidence));
    if seen.near(class::PASSPORT) && (6..=12).contains(&length) && digits >= 5 && seen.lengths.len() <= 3 {
        add(PersonalKind::Passport, "passport", 850);
    } else if seen.near(class::ROUTING) && check::aba(text) {
        add(PersonalKind::BankId, "US.routing", 930);
    } else if seen.near(class::SORT) && number.is_digits() && length == 6 {
        add(PersonalKind::BankId, "GB.sort_code", 880);
    } else if seen.near(class::LICENCE) && (6..=18).contains(&length) && digits >= 5 {
        add(PersonalKind::DrivingLicence, "driving_licence", 780 + more(seen));
    } else if seen.near(class::HEALTH) && (5..=16).contains(&length) && digits >= 5 {
        add(PersonalKind::HealthId, "health_id", 680 + more(seen));
    } else if seen.near(class::ACCOUNT) && number.is_digits() && (7..=20).contains(&length) {
        add(PersonalKind::BankAccount, "bank_account", 680 + more(seen));
    } else if seen.near(class::TAX) && (8..=14).contains(&length) && digits >= 7 {
        add(PersonalKind::TaxId, "tax_id", 600 + more(seen));
    } else if seen.near(class::NATIONAL) && (7..=14).contains(&length) && digits >= 5 {
        add(PersonalKind::NationalId, "national_id", 600 + more(seen));
    }
}

/// A little for each group more, so that of what begins alike the longest is told.
fn more(seen: &Seen<'_>) -> u16 {
    u16::try_from(seen.lengths.len()).unwrap_or(0).min(9)
}

fn date(seen: &Seen<'_>, hits: &mut Vec<Hit>) {
    if is_date(seen).is_none() {
        return;
    }
    if seen.context.near.of(class::BIRTH) {
        hits.push(seen.hit(PersonalKind::DateOfBirth, "date_of_birth", 930));
    } else {
        hits.push(seen.hit(PersonalKind::Date, "date", 500));
    }
}

/// Whether three groups are a day, in the order of any country.
fn is_date(seen: &Seen<'_>) -> Option<()> {
    let (raw, text) = (seen.number.raw, seen.number.compact());
    if !seen.number.is_digits() || !(6..=8).contains(&text.len()) || raw.len() != text.len() + 2 {
        return None;
    }
    let sign = raw.chars().find(|c| !c.is_ascii_digit()).filter(|sign| "-/.".contains(*sign))?;
    if raw.matches(sign).count() != 2 {
        return None;
    }
    let [first, second, third, ..] = seen.lengths else { return None };
    let values: Vec<u64> = [(0, *first), (*first, *second), (first + second, *third)]
        .into_iter()
        .map(|(at, length)| check::number(text, at, length))
        .collect();
    let [one, two, three] = values.as_slice() else { return None };
    let valid = match (first, second, third) {
        (4, 1 | 2, 1 | 2) => matches!(one, 1850..=2100) && check::is_day(*two, *three),
        (1 | 2, 1 | 2, 4) => matches!(three, 1850..=2100) && (check::is_day(*one, *two) || check::is_day(*two, *one)),
        (2, 2, 2) => seen.near(class::BIRTH) && (check::is_day(*one, *two) || check::is_day(*two, *one)),
        _ => false,
    };
    valid.then_some(())
}

/// Whether all groups are years, as in `2019-2024`.
fn is_years(raw: &str, lengths: &[usize]) -> bool {
    lengths.iter().all(|length| *length == 4)
        && raw
            .split(|c: char| !c.is_ascii_alphanumeric())
            .all(|group| group.is_empty() || group.starts_with("19") || group.starts_with("20"))
}

fn is_uuid(groups: &[Range<usize>]) -> bool {
    groups.windows(5).take(4).any(|groups| groups.iter().map(Range::len).eq([8, 4, 4, 4, 12]))
}

/// Whether no fraction, path or longer number goes on before or behind it.
fn stands_alone(text: &str, window: &[Range<usize>]) -> bool {
    let bytes = text.as_bytes();
    let at = |place: usize| bytes.get(place).copied().unwrap_or(b' ');
    let (Some(first), Some(last)) = (window.first(), window.last()) else { return false };
    let before = first.start.checked_sub(1).map_or(b' ', at);
    let before_that = first.start.checked_sub(2).map_or(b' ', at);
    let behind = (at(last.end), at(last.end + 1));
    let dot_before = matches!(before, b'.' | b',') && before_that.is_ascii_digit();
    let dot_behind = matches!(behind.0, b'.' | b',') && behind.1.is_ascii_digit();
    !(dot_before || dot_behind || before.is_ascii_alphanumeric() || behind.0 == b'_' || before == b'$')
}

/// Digits of a telephone, those before the code of a country and those of an extension included.
const MOST_DIALLED: usize = 17;

/// Reads a number of a telephone that begins with the first of the groups, and tells how many of them are of it.
fn phones(text: &str, groups: &[Range<usize>], context: Context, hits: &mut Vec<Hit>) -> usize {
    let Some(first) = groups.first() else { return 0 };
    let before = text.as_bytes().get(..first.start).unwrap_or_default();
    let plus = before.last() == Some(&b'+');
    let bytes = |group: &Range<usize>| text.as_bytes().get(group.clone()).unwrap_or_default();
    if before
        .last()
        .is_some_and(|byte| matches!(byte, b'.' | b'$' | b'-' | b'/' | b'=' | b'#') || byte.is_ascii_alphanumeric())
        && !(before.last() == Some(&b'=') && context.near.of(class::PHONE))
    {
        return 0;
    }
    let zeros = !plus && bytes(first).starts_with(b"00");
    let mut held = [0; MOST_DIALLED];
    let mut length = 0;
    let mut best: Option<(usize, u16)> = None;
    let spoken = if context.near.of(class::PHONE) {
        900
    } else if context.all.of(class::PHONE) && !context.near.of(class::OTHER) {
        650
    } else {
        0
    };
    for (index, group) in groups.iter().take(MOST_GROUPS).enumerate() {
        let these = bytes(group);
        if !these.iter().all(u8::is_ascii_digit) || length + these.len() < 2 * index {
            break;
        }
        let Some(room) = held.get_mut(length..length + these.len()) else { break };
        let alone = groups.get(..=index).is_some_and(|window| stands_alone(text, window));
        // `(0)` is not dialled from abroad.
        let skipped = plus && these == b"0" && text.as_bytes().get(group.end) == Some(&b')');
        if !skipped {
            room.copy_from_slice(these);
            length += these.len();
        }
        let digits = held.get(..length).unwrap_or_default();
        let abroad = if zeros { digits.get(2..).unwrap_or_default() } else { digits };
        let international = (plus || zeros) && phone::is_international(abroad);
        let window = groups.get(..=index).unwrap_or_default();
        let raw = text.get(first.start..group.end).unwrap_or_default();
        let lengths = Number::lengths(window);
        let lengths = lengths.get(..window.len()).unwrap_or_default();
        let sure = if international {
            (if plus { 880 } else { 600 }).max(spoken)
        } else if plus || !phone::is_plausible(window, digits.len(), raw) || these.len() < 2 {
            0
        } else {
            let form = phone::by_form(raw, lengths, digits.first().copied().unwrap_or(0));
            let form = if context.near.of(class::OTHER) { form.saturating_sub(200) } else { form };
            form.max(if digits.len() <= 12 { spoken } else { 0 })
        };
        if alone && sure > FLOOR && best.is_none_or(|(_, held)| sure + 60 >= held) {
            best = Some((index, sure));
        }
    }
    let Some((index, sure)) = best else { return 0 };
    let end = groups.get(index).map_or(first.end, |group| group.end);
    let extension = text.get(end..).filter(|rest| rest.starts_with('x'));
    let more = extension.map_or(0, |rest| rest.bytes().skip(1).take(6).take_while(u8::is_ascii_digit).count());
    let opened = before.last() == Some(&b'(') || before.ends_with(b"(+");
    let start = first.start - usize::from(plus) - usize::from(opened);
    hits.push(Hit::new(PersonalKind::Phone, "phone", start..end + if more > 0 { more + 1 } else { 0 }, sure));
    // Digits that are a card as well are tried as one.
    if sure >= 700 { index + 1 } else { 0 }
}
