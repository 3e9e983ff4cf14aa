//! Words beside a number that say what it is, in several languages.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fold::{self, Table};
use super::ids;
use crate::ascii::{self, Head, WIDTH};

/// What a word beside a number makes of it.
pub(super) mod class {
    pub(in super::super) const PHONE: u32 = 1;
    pub(in super::super) const CARD: u32 = 1 << 1;
    pub(in super::super) const BANK: u32 = 1 << 2;
    pub(in super::super) const ACCOUNT: u32 = 1 << 3;
    pub(in super::super) const ROUTING: u32 = 1 << 4;
    pub(in super::super) const SORT: u32 = 1 << 5;
    pub(in super::super) const PASSPORT: u32 = 1 << 6;
    pub(in super::super) const LICENCE: u32 = 1 << 7;
    pub(in super::super) const BIRTH: u32 = 1 << 8;
    pub(in super::super) const NATIONAL: u32 = 1 << 9;
    pub(in super::super) const TAX: u32 = 1 << 10;
    pub(in super::super) const HEALTH: u32 = 1 << 11;
    /// What it is instead: an order, a version.
    pub(in super::super) const OTHER: u32 = 1 << 12;
    pub(in super::super) const IP: u32 = 1 << 13;
    pub(in super::super) const BIC: u32 = 1 << 14;
}

/// Each class with its words: small, without accents, apart by `|`, of two words at most.
const WORDS: &[(u32, &str)] = &[
    (
        class::PHONE,
        "phone|phones|tel|telephone|mobile|cell|cellphone|fax|call|calls|called|calling|caller|whatsapp|sms|dial|hotline|ring|ph|mob|landline|my number|answering|answer|text me|text him|text her|reach me|reach him|reach her|reached at|contact number|phonenumber|office|desk|home|\
         telefon|telefonnummer|rufnummer|handy|handynummer|mobil|mobilnummer|mobiltelefon|festnetz|anrufen|durchwahl|tel nr|ruf|\
         telefono|telefone|movil|celular|fijo|llamar|llame|llamame|telef|\
         portable|gsm|joindre|appeler|appelez|telecopie|mobile|\
         cellulare|fisso|chiamare|chiama|recapito|telemovel|ligar|ligue|contacto|\
         telefoon|telefoonnummer|mobiel|bellen|bel|mobiele|\
         telefonu|komorka|komorkowy|zadzwon|dzwonic|numer telefonu|kom|\
         puhelin|puh|tlf|telefonnr|ring|\u{43a}\u{43e}\u{43d}\u{442}\u{430}\u{43a}\u{442}|телефон|тел|моб|電話|电话|手机|携帯|전화|전화번호|휴대폰|هاتف|טלפון|फोन",
    ),
    (
        class::CARD,
        "card|cards|credit|debit|visa|mastercard|amex|cc|pan|creditcard|cardnumber|maestro|discover|diners|jcb|cvv|expiry|karte|kreditkarte|kreditkartennummer|kartennummer|tarjeta|carte|carte bancaire|carta|cartao|kaart|creditcard|karta|karty|kartes|kort|kortti|kredit|карта|карты|信用卡|カード|카드",
    ),
    (
        class::BANK,
        "iban|bank|banking|wire|transfer|konto|kontonummer|bankverbindung|uberweisung|cuenta|compte|conto|conta|rekening|rekeningnummer|konta|rachunek|rachunku|virement|bonifico|przelew|transferencia|deposit",
    ),
    (
        class::ACCOUNT,
        "account|accounts|acct|account number|konto|kontonummer|kontonr|cuenta|numero de cuenta|compte|conto|conta|rekening|rekeningnummer|konta|rachunku|rachunek|clabe|ccc",
    ),
    (class::ROUTING, "routing|aba|rtn|routing number|transit|ach"),
    (class::SORT, "sort code|sortcode|sort|bsb"),
    (class::BIC, "bic|swift|swiftcode"),
    (
        class::PASSPORT,
        "passport|passports|reisepass|reisepassnummer|passnummer|pass nr|passeport|pasaporte|passaporto|passaporte|paspoort|paspoortnummer|paszport|paszportu|pas|passi|passnr|паспорт|паспорта|护照|旅券|パスポート|여권",
    ),
    (
        class::LICENCE,
        "license|licence|driver|drivers|driver's|driving|dl|dln|fuhrerschein|fuhrerscheinnummer|permis|permis de|licencia|conducir|carnet|patente|guida|conducao|carta de|rijbewijs|rijbewijsnummer|prawo jazdy|jazdy|korkort|korekort|forerkort",
    ),
    (
        class::BIRTH,
        "birth|born|dob|birthday|birthdate|dateofbirth|bday|geboren|geburtsdatum|geb|geburtstag|ne le|nee le|naissance|nacimiento|nacido|nacida|nacio|nacimento|nascimento|nascido|nascida|nasceu|nato|nata|nascita|geboren op|geboortedatum|geboorte|urodzony|urodzona|urodzenia|ur|fodd|fodt|fodselsdato|fodelsedatum|syntynyt|narozeni|narozen|рождения|родился|родилась|出生|生年月日|생년월일",
    ),
    (
        class::NATIONAL,
        "identity|national id|id number|identity number|id card|personal number|personal id|nationalid|national number|ausweis|ausweisnummer|personalausweis|identite|carte d'identite|identidad|identidade|identita|identiteitskaart|identiteitsbewijs|dowod|dowodu|cedula|cartao de|国民身份",
    ),
    (
        class::TAX,
        "tax|taxpayer|tin|vat|ein|fiscal|steuer|steuernummer|impots|impot|impuesto|tributaria|fiscale|contribuinte|btw|belasting|podatkowy|podatku|nip|skatte",
    ),
    (
        class::HEALTH,
        "mrn|medical record|record number|patient|patients|patientid|patient id|insurance|insured|member id|member number|memberid|policy|policy number|health|medicare|medicaid|npi|hospital|chart|chart number|versicherung|versicherungsnummer|patientennummer|patienten|krankenkasse|assurance|mutuelle|seguro|sanitaria|tarjeta sanitaria|sanitario|assicurazione|tessera sanitaria|seguranca|utente|sns|verzekering|verzekeringsnummer|patientnummer|polisnummer|polisa|polisy|ubezpieczenia|pacjenta|poliza|police|polizza|apolice",
    ),
    (
        class::OTHER,
        "order|orders|version|invoice|build|port|isbn|issn|sku|tracking|ticket|issue|commit|sha|revision|timestamp|ts|epoch|serial|part|item|product|page|bytes|size|offset|line|column|id=|pid|seq|sequence|nonce|checksum|hash|duration|latency|ref|reference|price|amount|total|count|rev|doi|rfc|section|bestellung|bestellnummer|rechnung|rechnungsnummer|pedido|factura|commande|facture|ordine|fattura|bestelling|factuur|zamowienie|faktura|artikel|auftrag",
    ),
    (class::IP, "ip|ipv4|ipv6|address|host|client|remote|addr|login|logged|from|visitor"),
];

/// All words, with the class and the identifiers that each speaks of.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The place of each word in `spoken`, of two words that of both.
    table: Table,
    spoken: Vec<Spoken>,
    /// The words of ASCII, those of two one by one.
    plain: Plain,
    /// Words of scripts without spaces, which stand within others.
    within: Vec<(String, Spoken)>,
}

/// What words speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spoken {
    pub(super) classes: u32,
    /// One bit for each identifier, in the order of [`ids::all`].
    pub(super) ids: u128,
}

impl Spoken {
    fn with(self, other: Spoken) -> Spoken {
        Spoken { classes: self.classes | other.classes, ids: self.ids | other.ids }
    }

    pub(super) fn of(self, classes: u32) -> bool {
        self.classes & classes != 0
    }

    pub(super) fn is_of_id(self, index: usize) -> bool {
        self.ids.checked_shr(index as u32).unwrap_or(0) & 1 == 1
    }
}

/// What stands around a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Context {
    /// All words of it.
    pub(super) all: Spoken,
    /// The last before it that speaks of anything, which counts most.
    pub(super) near: Spoken,
}

/// How far words before a place, and behind it, speak of it, in bytes.
const BEFORE: usize = 72;
const AFTER: usize = 28;
/// Lines before it, its own included.
const LINES: usize = 2;

impl Words {
    pub(super) fn built_in() -> Words {
        let mut words = Words::default();
        let (mut known, mut plain) = (BTreeMap::new(), BTreeMap::new());
        for (class, list) in WORDS {
            words.add(list, Spoken { classes: *class, ids: 0 }, &mut known, &mut plain);
        }
        for (index, id) in ids::all().enumerate() {
            words.add(id.words, Spoken { classes: 0, ids: 1 << (index % 128) }, &mut known, &mut plain);
        }
        words.plain = Plain::of(plain);
        words.table = Table::of((0..).zip(known.keys()).map(|(place, hash)| (*hash, place)), |held, _| held);
        words.spoken = known.into_values().collect();
        words
    }

    fn add(
        &mut self,
        list: &str,
        spoken: Spoken,
        known: &mut BTreeMap<u64, Spoken>,
        plain: &mut BTreeMap<String, Word>,
    ) {
        for word in list.split('|') {
            if word.chars().any(|c| c >= '\u{2E80}') {
                self.within.push((word.to_owned(), spoken));
                continue;
            }
            let mut parts = word.split([' ', '-', '\'']).filter(|part| !part.is_empty());
            let (Some(first), second) = (parts.next(), parts.next()) else { continue };
            let (first_hash, second_hash) = (fold::hash(first), second.map(fold::hash));
            let held = Word::of(first, plain);
            held.begins |= second.is_some();
            held.is_single |= second.is_none();
            if let Some(second) = second {
                Word::of(second, plain).ends = true;
            }
            let hash = second_hash.map_or(first_hash, |second| fold::both(first_hash, second));
            known.entry(hash).and_modify(|held| *held = held.with(spoken)).or_insert(spoken);
        }
    }

    fn get(&self, hash: u64) -> Option<&Spoken> {
        self.spoken.get(self.table.get(hash)? as usize)
    }

    /// What stands around `start..end`.
    pub(super) fn around(&self, text: &str, start: usize, end: usize) -> Context {
        let mut context = Context::default();
        let from = text.ceil_char_boundary(start.saturating_sub(BEFORE));
        self.before(text, from..start, |spoken| {
            context.all = context.all.with(*spoken);
            context.near = *spoken;
        });
        let to = text.floor_char_boundary(end.saturating_add(AFTER).min(text.len()));
        self.after(text, end..to, |spoken| {
            context.all = context.all.with(*spoken);
            if context.near == Spoken::default() {
                context.near = *spoken;
            }
        });
        context
    }

    /// Tells what the last lines of what stands before a place speak of.
    fn before(&self, text: &str, range: Range<usize>, told: impl FnMut(&Spoken)) {
        let mut marks = Marks::of(text.as_bytes(), &range);
        if marks.others != 0 {
            let before = text.get(range).unwrap_or_default();
            let line = before.rmatch_indices('\n').nth(LINES - 1).map_or(0, |(at, _)| at);
            self.speak(before.get(line..).unwrap_or_default(), told);
            return;
        }
        for _ in 1..LINES {
            marks.line_ends &= !highest(marks.line_ends);
        }
        // What is above the last line end that is left, or all.
        let last = highest(marks.line_ends).saturating_sub(1);
        marks.letters &= !last;
        self.speak_plain(text.as_bytes(), range.start, &marks, told);
    }

    /// Tells what the rest of a line behind a place speaks of.
    fn after(&self, text: &str, range: Range<usize>, told: impl FnMut(&Spoken)) {
        let mut marks = Marks::of(text.as_bytes(), &range);
        if marks.others != 0 {
            let after = text.get(range).unwrap_or_default();
            self.speak(after.split('\n').next().unwrap_or_default(), told);
            return;
        }
        let first = marks.line_ends & marks.line_ends.wrapping_neg();
        marks.letters &= first.wrapping_sub(1);
        self.speak_plain(text.as_bytes(), range.start, &marks, told);
    }

    /// Tells what the words of ASCII speak of.
    fn speak_plain(&self, bytes: &[u8], from: usize, marks: &Marks, mut told: impl FnMut(&Spoken)) {
        let mut last: Option<&Word> = None;
        marks.each_word(|at, length| {
            let word = self.plain.get(bytes, from + at, length);
            let before = std::mem::replace(&mut last, word);
            let Some(word) = word else { return };
            let pair = before.filter(|before| before.begins && word.ends);
            let pair = pair.and_then(|before| self.get(fold::both(before.hash, word.hash)));
            // Two words together say more than the second alone.
            if let Some(spoken) = pair.or_else(|| self.get(word.hash).filter(|_| word.is_single)) {
                told(spoken);
            }
        });
    }

    fn speak(&self, text: &str, mut told: impl FnMut(&Spoken)) {
        let mut last = None;
        each_word(text, |hash| {
            let single = self.get(hash);
            let pair = last.and_then(|last| self.get(fold::both(last, hash)));
            last = Some(hash);
            // Two words together say more than the second alone.
            if let Some(spoken) = pair.or(single) {
                told(spoken);
            }
        });
        if !text.is_ascii() && text.bytes().any(|byte| byte >= 0xE3) {
            for (word, spoken) in &self.within {
                if text.contains(word.as_str()) {
                    told(spoken);
                }
            }
        }
    }
}

/// The highest of some bits.
fn highest(bits: u128) -> u128 {
    1_u128.checked_shl(127_u32.wrapping_sub(bits.leading_zeros())).unwrap_or(0)
}

/// Up to 128 bytes of a text, one bit for each of them.
struct Marks {
    letters: u128,
    capitals: u128,
    /// Those that are not ASCII.
    others: u128,
    line_ends: u128,
}

impl Marks {
    #[inline]
    fn of(bytes: &[u8], range: &Range<usize>) -> Marks {
        let mut all = [0; 4];
        let length = range.len().min(127);
        for step in (0..length).step_by(WIDTH) {
            for (all, marks) in all.iter_mut().zip(Head::of(bytes, range.start + step).marks()) {
                *all |= u128::from(marks) << step;
            }
        }
        let within = (1 << length) - 1;
        let [letters, capitals, others, line_ends] = all.map(|marks| marks & within);
        Marks { letters, capitals, others, line_ends }
    }

    /// Calls `each` with the place and the length of every word, those of `camelCase` and `snake_case` one by one.
    #[inline]
    fn each_word(&self, mut each: impl FnMut(usize, usize)) {
        let small = self.letters & !self.capitals;
        let goes_on = self.letters & (self.letters << 1) & !((small << 1) & self.capitals);
        let mut begins = self.letters & !goes_on;
        let mut ends = self.letters & !(goes_on >> 1);
        // There are as many ends as there are beginnings.
        while begins != 0 {
            let (at, end) = (begins.trailing_zeros() as usize, ends.trailing_zeros() as usize);
            begins &= begins - 1;
            ends &= ends.wrapping_sub(1);
            each(at, end + 1 - at);
        }
    }
}

/// A word of ASCII, of those that speak of something alone or with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    hash: u64,
    is_single: bool,
    /// Whether it is the first of two, and the second.
    begins: bool,
    ends: bool,
}

impl Word {
    fn of<'w>(text: &str, words: &'w mut BTreeMap<String, Word>) -> &'w mut Word {
        let held = Word { hash: fold::hash(text), is_single: false, begins: false, ends: false };
        words.entry(text.chars().map(fold::letter).collect()).or_insert(held)
    }
}

/// Words of ASCII, of which hardly any other is hashed.
#[derive(Debug, Default)]
struct Plain {
    /// For the first two letters of a word the lengths, one bit for each, of those that begin so.
    lengths: Vec<u32>,
    /// The place of each word in `words`.
    table: Table,
    words: Vec<Word>,
}

/// Bits of a letter that tell it from others.
const LETTER: u32 = 5;

impl Plain {
    fn of(words: BTreeMap<String, Word>) -> Plain {
        let mut plain = Plain { lengths: vec![0; 1 << (2 * LETTER)], ..Plain::default() };
        let mut places = Vec::new();
        for (text, word) in words {
            let (bytes, length) = (text.as_bytes(), text.len());
            if !bytes.iter().all(u8::is_ascii_lowercase) || length >= 32 {
                continue;
            }
            if let Some(lengths) = plain.lengths.get_mut(slot(bytes, 0, length)) {
                *lengths |= 1 << length;
            }
            places.push((number(bytes, 0, length), u32::try_from(plain.words.len()).unwrap_or(u32::MAX)));
            plain.words.push(word);
        }
        plain.table = Table::of(places.into_iter(), |held, _| held);
        plain
    }

    /// The word that stands at a place, if it is one of them.
    #[inline]
    fn get(&self, bytes: &[u8], at: usize, length: usize) -> Option<&Word> {
        let lengths = self.lengths.get(slot(bytes, at, length))?;
        if lengths.checked_shr(length as u32).unwrap_or(0) & 1 == 0 {
            return None;
        }
        self.words.get(self.table.get(number(bytes, at, length))? as usize)
    }
}

/// The place of a word's first two letters in `lengths`.
#[inline(always)]
fn slot(bytes: &[u8], at: usize, length: usize) -> usize {
    const LETTERS: u8 = (1 << LETTER) - 1;
    let letter = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0) & LETTERS);
    letter(at) << LETTER | if length > 1 { letter(at + 1) } else { 0 }
}

/// A number for a word, whatever its case.
#[inline(always)]
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let further = (WIDTH..length).step_by(WIDTH).flat_map(|step| Head::of(bytes, at + step).first(length - step));
    ascii::hash(length, Head::of(bytes, at).first(length), further)
}

/// The words of a text, those of `camelCase` and `snake_case` one by one.
pub(super) fn each_word(text: &str, mut word: impl FnMut(u64)) {
    let (mut hash, mut empty, mut small) = (fold::START, true, false);
    if text.is_ascii() {
        for byte in text.bytes() {
            let letter = byte | 0x20;
            let is_letter = letter.is_ascii_lowercase();
            if !empty && (!is_letter || (small && byte.is_ascii_uppercase())) {
                word(hash);
                (hash, empty) = (fold::START, true);
            }
            small = byte.is_ascii_lowercase();
            if is_letter {
                hash = fold::add(hash, char::from(letter));
                empty = false;
            }
        }
        if !empty {
            word(hash);
        }
        return;
    }
    for c in text.chars() {
        let begins = c.is_uppercase() && small;
        if (!c.is_alphabetic() || begins) && !empty {
            word(hash);
            (hash, empty) = (fold::START, true);
        }
        small = c.is_lowercase();
        if c.is_alphabetic() {
            hash = fold::add(hash, fold::letter(c));
            empty = false;
        }
    }
    if !empty {
        word(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_other_letters_speaks_as_one_with_them() {
        let words = Words::built_in();
        for text in [
            "call me on my phone, my number is # and the sort code",
            "phoneNumber: # // taxId",
            "passport\n\n\nx#\nphone",
            "card\n# visa\niban",
            "HTTPSort codeX kreditkartennummer versicherungsnummer #",
            "#",
            "elephone number and national-id, driver's licence #, carte d'identite",
        ] {
            for before in 0..90 {
                let text = format!("{}{text}", "a ".repeat(before));
                let at = text.find('#').unwrap_or(0);
                // As the words are read one letter after another.
                let slowly = |range: Range<usize>, last: bool| {
                    let held = text.get(range).unwrap_or_default();
                    let line = held.rmatch_indices('\n').nth(LINES - 1).map_or(0, |(at, _)| at);
                    let held = if last { held.get(line..) } else { held.split('\n').next() };
                    let mut told = Vec::new();
                    words.speak(held.unwrap_or_default(), |spoken| told.push(*spoken));
                    told
                };
                let (from, to) = (at.saturating_sub(BEFORE)..at, at + 1..text.len().min(at + 1 + AFTER));
                let mut told = Vec::new();
                words.before(&text, from.clone(), |spoken| told.push(*spoken));
                assert_eq!(told, slowly(from, true), "{text}");
                told.clear();
                words.after(&text, to.clone(), |spoken| told.push(*spoken));
                assert_eq!(told, slowly(to, false), "{text}");
            }
        }
    }

    #[test]
    fn words_speak_of_what_stands_beside_them() {
        let words = Words::built_in();
        let near = |text: &str| {
            let (start, end) = (text.find('#').unwrap(), text.rfind('#').unwrap() + 1);
            words.around(text, start, end).near
        };
        assert!(near("Phone: ##").of(class::PHONE));
        assert!(near("phoneNumber\": \"##\"").of(class::PHONE));
        assert!(near("Téléphone ##").of(class::PHONE));
        assert!(near("## is my passport").of(class::PASSPORT));
        assert!(near("date of birth: ##").of(class::BIRTH));
        assert!(near("sort code ##").of(class::SORT));
        assert!(near("my phone, and the passport ##").of(class::PASSPORT));
        let ssn = ids::all().position(|id| id.name == "US.ssn").unwrap();
        assert!(near("social security ##").is_of_id(ssn));
        let china = ids::all().position(|id| id.name == "CN.id").unwrap();
        assert!(near("身份证号##").is_of_id(china));
        assert_eq!(near("three lines above: phone\n\n\n##"), Spoken::default());
        assert!(ids::all().count() <= 128);
    }
}
