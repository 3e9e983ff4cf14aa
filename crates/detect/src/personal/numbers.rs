//! What clusters of digits and capital letters are: each group, and each few groups together, is tried as everything.

use std::cell::OnceCell;
use std::ops::Range;

use super::cluster::{Cluster, MOST_GROUPS, Number};
use super::context::{Context, Words, class};
use super::ids::{self, Identifier};
use super::{Hit, PersonalKind, bank, check, phone};

/// What is looked for, made ready once.
#[derive(Debug)]
pub(super) struct Numbers {
    words: Words,
    /// For each length, which identifiers may be that long, one bit for each by its place in the list of all.
    by_length: [ByLength; LONGEST_ID + 1],
    /// Those that are sure enough without a word beside them, and those that are if they are written in one of their forms.
    alone: u128,
    formed: u128,
    /// Those that a word speaks of which is of no country.
    generic: [(u32, u128); 4],
    ids: Vec<&'static Identifier>,
}

/// Identifiers of one length.
#[derive(Debug, Clone, Copy, Default)]
struct ByLength {
    /// Those that may be digits only.
    digits: u128,
    /// Those in which there may be a letter.
    letters: u128,
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
/// The longest of all but an IBAN.
const LONGEST_OTHER: usize = 20;

/// One window of a cluster with what stands around it.
struct Seen<'s> {
    number: &'s Number<'s>,
    around: &'s Around<'s>,
    lengths: &'s [usize],
}

impl Seen<'_> {
    fn near(&self, classes: u32) -> bool {
        self.around.get().near.of(classes)
    }

    /// A hit, surer if the nearest word says so.
    fn hit(&self, kind: PersonalKind, name: &'static str, confidence: u16) -> Hit {
        Hit::new(kind, name, self.number.start..self.number.end, confidence)
    }
}

/// What stands around some windows, looked at when it is asked for first: most numbers are none of anybody's whatever it says.
struct Around<'s> {
    words: &'s Words,
    text: &'s str,
    place: Range<usize>,
    held: OnceCell<Context>,
}

impl Around<'_> {
    fn get(&self) -> &Context {
        self.held.get_or_init(|| self.words.around(self.text, self.place.start, self.place.end))
    }
}

/// The classes of words that speak of an identifier of a kind, whatever its country.
const GENERIC: [(PersonalKind, u32); 4] = [
    (PersonalKind::NationalId, class::NATIONAL),
    (PersonalKind::TaxId, class::TAX),
    (PersonalKind::HealthId, class::HEALTH),
    (PersonalKind::DrivingLicence, class::LICENCE),
];

impl Numbers {
    pub(super) fn built_in() -> Numbers {
        let ids: Vec<_> = ids::all().collect();
        let mut by_length = [ByLength::default(); LONGEST_ID + 1];
        for (index, id) in ids.iter().enumerate() {
            for shape in id.shapes {
                if let Some(held) = by_length.get_mut(shape.len()) {
                    held.digits |= u128::from(shape.bytes().all(|sign| sign != b'L' && !is_letter(sign))) << index;
                    held.letters |= u128::from(shape.bytes().any(|sign| sign == b'X' || is_letter(sign))) << index;
                }
            }
        }
        let of = |is: &dyn Fn(&Identifier) -> bool| {
            (0..).zip(&ids).fold(0, |all, (index, id)| all | u128::from(is(id)) << (index % 128))
        };
        let (alone, formed) = (of(&|id| id.alone > 0), of(&|id| id.formed > 0));
        let generic = GENERIC.map(|(kind, class)| (class, of(&|id| id.kind == kind)));
        Numbers { words: Words::built_in(), by_length, alone, formed, generic, ids }
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
        let long = reach.iter().map(Range::len).sum::<usize>() >= SHORTEST;
        if !long || !has_digits(text.as_bytes(), reach) || is_uuid(groups) {
            return;
        }
        let around = Around { words: &self.words, text, place: begin.start..end.end, held: OnceCell::new() };
        let mut from = 0;
        while from < STRIDE.min(reach.len()) {
            let Some(rest) = reach.get(from..) else { break };
            // What is of a number of a telephone begins no other one.
            from += self.look_at(text, rest, &around, hits).max(1);
        }
    }

    /// Looks at the windows that begin with the first group, and tells how many of them are of a telephone.
    fn look_at(&self, text: &str, groups: &[Range<usize>], around: &Around<'_>, hits: &mut Vec<Hit>) -> usize {
        if !groups.first().is_some_and(|first| begins_alone(text, first.start)) {
            return 0;
        }
        let held = phones(text, groups, around, hits);
        let mut number = Number::new(text);
        let mut lengths = [0; MOST_GROUPS];
        for (index, group) in groups.iter().take(MOST_GROUPS).enumerate() {
            if number.add(group).is_none() {
                break;
            }
            lengths.iter_mut().skip(index).take(1).for_each(|length| *length = group.len());
            let length = number.compact().len();
            if length > LONGEST_OTHER && number.compact().first().is_some_and(u8::is_ascii_digit) {
                break;
            }
            // Nothing is written digit by digit.
            let is_number = number.digits >= FEWEST && length > SHORTEST - 1 && length + 1 >= 2 * (index + 1);
            if is_number && ends_alone(text, group.end) {
                let lengths = lengths.get(..=index).unwrap_or_default();
                self.judge(&Seen { number: &number, around, lengths }, hits);
            }
        }
        held
    }

    fn judge(&self, seen: &Seen<'_>, hits: &mut Vec<Hit>) {
        let number = &seen.number;
        let text = number.compact();
        let is_card = number.is_digits() && text.len() >= 12 && bank::is_grouped_as_card(seen.lengths);
        let sure = if is_card { bank::card(text) } else { 0 };
        if sure > 0 {
            let told = match () {
                () if !seen.around.get().all.of(class::CARD) => match sure {
                    300 => 0,
                    sure if seen.near(class::OTHER) => sure.saturating_sub(150),
                    sure => sure,
                },
                () if seen.near(class::CARD) => 970,
                () => 920,
            };
            if told > 0 {
                hits.push(seen.hit(PersonalKind::PaymentCard, CARD, told));
            }
        }
        if text.len() >= 15 && text.first().is_some_and(u8::is_ascii_uppercase) && bank::is_iban(text) {
            hits.push(seen.hit(PersonalKind::Iban, "iban", 980));
        }
        self.identify(seen, hits);
        by_context(seen, hits);
        date(seen, hits);
    }

    /// Tries the identifiers of that length that may be told there.
    fn identify(&self, seen: &Seen<'_>, hits: &mut Vec<Hit>) {
        let (text, raw) = (seen.number.compact(), seen.number.raw());
        let Some(by_length) = self.by_length.get(text.len()) else { return };
        let of_length = if seen.number.is_digits() { by_length.digits } else { by_length.letters };
        if of_length == 0 {
            return;
        }
        let Context { all, near } = seen.around.get();
        let generic = self.generic.iter().filter(|(class, _)| near.of(*class)).fold(0, |all, (_, ids)| all | ids);
        let formed = if seen.lengths.len() > 1 { self.formed } else { 0 };
        let is_other = near.of(class::OTHER);
        let mut left = of_length & (all.ids | generic | self.alone | formed);
        let mut best: Option<(u16, &Identifier)> = None;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            let Some(id) = self.ids.get(index) else { continue };
            let formed = id.formed > 0 && id.forms.iter().any(|form| ids::has_shape(raw.as_bytes(), form));
            let mut sure = if formed { id.formed } else { id.alone };
            let named = all.is_of_id(index);
            if is_other && !named {
                sure = sure.saturating_sub(250);
            }
            if named {
                sure = sure.max(if near.is_of_id(index) { 960 } else { 800 });
            } else if generic >> index & 1 == 1 {
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

/// Whether there are digits enough in some groups.
fn has_digits(bytes: &[u8], groups: &[Range<usize>]) -> bool {
    let mut digits = 0;
    for group in groups {
        let these = bytes.get(group.clone()).unwrap_or_default();
        digits += these.iter().map(|byte| usize::from(byte.is_ascii_digit())).sum::<usize>();
        if digits >= FEWEST {
            return true;
        }
    }
    false
}

/// Whether a sign of a shape is a letter that stands for itself.
fn is_letter(sign: u8) -> bool {
    sign.is_ascii_uppercase() && sign != b'X'
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
    let (number, text) = (seen.number, seen.number.compact());
    let (length, digits) = (text.len(), number.digits);
    if digits < 5 || length > LONGEST_OTHER || seen.lengths.len() > 6 || !seen.near(ANY) {
        return;
    }
    if is_years(number.raw(), seen.lengths) || is_date(seen) || number.raw().contains('.') {
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
    if !is_date(seen) {
        return;
    }
    if seen.near(class::BIRTH) {
        hits.push(seen.hit(PersonalKind::DateOfBirth, "date_of_birth", 930));
    } else {
        hits.push(seen.hit(PersonalKind::Date, "date", 500));
    }
}

/// Whether three groups are a day, in the order of any country.
fn is_date(seen: &Seen<'_>) -> bool {
    let (raw, text) = (seen.number.raw(), seen.number.compact());
    let [first, second, third] = *seen.lengths else { return false };
    if !seen.number.is_digits() || raw.len() != text.len() + 2 {
        return false;
    }
    let bytes = raw.as_bytes();
    let sign = bytes.get(first).copied();
    if !matches!(sign, Some(b'-' | b'/' | b'.')) || bytes.get(first + 1 + second).copied() != sign {
        return false;
    }
    let [one, two, three] = [(0, first), (first, second), (first + second, third)]
        .map(|(at, length)| check::number(text, at, length.min(4)));
    match (first, second, third) {
        (4, 1 | 2, 1 | 2) => matches!(one, 1850..=2100) && check::is_day(two, three),
        (1 | 2, 1 | 2, 4) => matches!(three, 1850..=2100) && (check::is_day(one, two) || check::is_day(two, one)),
        (2, 2, 2) => (check::is_day(one, two) || check::is_day(two, one)) && seen.near(class::BIRTH),
        _ => false,
    }
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

/// Whether no fraction, path or longer number goes on before a place.
fn begins_alone(text: &str, start: usize) -> bool {
    let bytes = text.as_bytes();
    let at = |back: usize| start.checked_sub(back).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
    let before = at(1);
    let dot_before = matches!(before, b'.' | b',') && at(2).is_ascii_digit();
    !(dot_before || before.is_ascii_alphanumeric() || before == b'$')
}

/// Whether none goes on behind it.
fn ends_alone(text: &str, end: usize) -> bool {
    let at = |place: usize| text.as_bytes().get(place).copied().unwrap_or(b' ');
    let behind = at(end);
    let dot_behind = matches!(behind, b'.' | b',') && at(end + 1).is_ascii_digit();
    !(dot_behind || behind == b'_')
}

/// Digits of a telephone, those before the code of a country and those of an extension included.
const MOST_DIALLED: usize = 17;
/// And the fewest.
const FEWEST_DIALLED: usize = 6;

/// Reads a number of a telephone that begins with the first of the groups, before which nothing goes on, and tells how many of
/// them are of it.
fn phones(text: &str, groups: &[Range<usize>], around: &Around<'_>, hits: &mut Vec<Hit>) -> usize {
    let Some(first) = groups.first() else { return 0 };
    let before = text.as_bytes().get(..first.start).unwrap_or_default();
    let plus = before.last() == Some(&b'+');
    let bytes = |group: &Range<usize>| text.as_bytes().get(group.clone()).unwrap_or_default();
    if before.last().is_some_and(|byte| matches!(byte, b'.' | b'-' | b'/' | b'#')) {
        return 0;
    }
    let assigned = before.last() == Some(&b'=');
    let zeros = !plus && bytes(first).starts_with(b"00");
    let mut held = [0; MOST_DIALLED];
    let mut lengths = [0; MOST_GROUPS];
    let mut length = 0;
    let mut best: Option<(usize, u16)> = None;
    for (index, group) in groups.iter().take(MOST_GROUPS).enumerate() {
        let these = bytes(group);
        if !these.iter().all(u8::is_ascii_digit) || length + these.len() < 2 * index {
            break;
        }
        let Some(room) = held.get_mut(length..length + these.len()) else { break };
        lengths.iter_mut().skip(index).take(1).for_each(|length| *length = these.len());
        // `(0)` is not dialled from abroad.
        let skipped = plus && these == b"0" && text.as_bytes().get(group.end) == Some(&b')');
        if !skipped {
            room.copy_from_slice(these);
            length += these.len();
        }
        if length < FEWEST_DIALLED || !ends_alone(text, group.end) {
            continue;
        }
        let digits = held.get(..length).unwrap_or_default();
        let abroad = if zeros { digits.get(2..).unwrap_or_default() } else { digits };
        let international = (plus || zeros) && phone::is_international(abroad);
        let raw = text.get(first.start..group.end).unwrap_or_default();
        let lengths = lengths.get(..=index).unwrap_or_default();
        if !international && (plus || these.len() < 2 || !phone::is_plausible(lengths, digits.len(), raw)) {
            continue;
        }
        let Context { all, near } = around.get();
        if assigned && !near.of(class::PHONE) {
            return 0;
        }
        let spoken = match () {
            () if near.of(class::PHONE) => 900,
            () if all.of(class::PHONE) && !near.of(class::OTHER) => 650,
            () => 0,
        };
        let sure = match (international, plus) {
            (true, true) => spoken.max(880),
            (true, false) => spoken.max(600),
            _ => {
                let form = phone::by_form(raw, lengths, digits.first().copied().unwrap_or(0));
                let form = if near.of(class::OTHER) { form.saturating_sub(200) } else { form };
                form.max(if digits.len() <= 12 { spoken } else { 0 })
            }
        };
        if sure > FLOOR && best.is_none_or(|(_, held)| sure + 60 >= held) {
            best = Some((index, sure));
        }
    }
    let Some((index, sure)) = best else { return 0 };
    let end = groups.get(index).map_or(first.end, |group| group.end);
    let opened = before.last() == Some(&b'(') || before.ends_with(b"(+");
    let start = first.start - usize::from(plus) - usize::from(opened);
    hits.push(Hit::new(PersonalKind::Phone, "phone", start..end + extension(text, end), sure));
    // Digits that are a card as well are tried as one.
    if sure >= 700 { index + 1 } else { 0 }
}

/// How long an extension is that stands there, as in `x4587`.
fn extension(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).and_then(|rest| rest.strip_prefix(b"x")).unwrap_or_default();
    let digits = rest.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 { digits + 1 } else { 0 }
}
