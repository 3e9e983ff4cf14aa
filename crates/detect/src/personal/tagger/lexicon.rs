//! What is known of single words: names, places, peoples, occupations and common words, from lists of our own.

use super::super::fold::{self, Table};

/// What a word may be; one word may be several things.
pub(super) mod is {
    pub(in super::super) const GIVEN: u32 = 1;
    pub(in super::super) const FAMILY: u32 = 1 << 1;
    pub(in super::super) const TOWN: u32 = 1 << 2;
    pub(in super::super) const COUNTRY: u32 = 1 << 3;
    pub(in super::super) const PEOPLE: u32 = 1 << 4;
    pub(in super::super) const JOB: u32 = 1 << 5;
    pub(in super::super) const COMPANY: u32 = 1 << 6;
    /// `Inc`, `GmbH`: what ends the name of a company.
    pub(in super::super) const FORM: u32 = 1 << 7;
    /// `Bank`, `University`: what is a part of the name of a body.
    pub(in super::super) const BODY: u32 = 1 << 8;
    pub(in super::super) const STREET: u32 = 1 << 9;
    pub(in super::super) const UNIT: u32 = 1 << 10;
    pub(in super::super) const HONORIFIC: u32 = 1 << 11;
    pub(in super::super) const MONTH: u32 = 1 << 12;
    pub(in super::super) const DAY: u32 = 1 << 13;
    /// `van`, `de`: what stands within names.
    pub(in super::super) const PARTICLE: u32 = 1 << 14;
    pub(in super::super) const AGE: u32 = 1 << 15;
    pub(in super::super) const COMMON: u32 = 1 << 16;
    /// What is written with a capital in technical texts and is nobody.
    pub(in super::super) const TECHNICAL: u32 = 1 << 17;
    /// All that makes a small word worth a look.
    pub(in super::super) const ANY_NAME: u32 =
        GIVEN | FAMILY | TOWN | COUNTRY | PEOPLE | JOB | COMPANY | STREET | UNIT | HONORIFIC | PARTICLE | DAY | MONTH;
}

const LISTS: &[(u32, &str)] = &[
    (is::GIVEN, include_str!("../lists/given.txt")),
    (is::FAMILY, include_str!("../lists/family.txt")),
    (is::TOWN, include_str!("../lists/towns.txt")),
    (is::COUNTRY, include_str!("../lists/countries.txt")),
    (is::PEOPLE, include_str!("../lists/peoples.txt")),
    (is::JOB, include_str!("../lists/jobs.txt")),
    (is::COMPANY, include_str!("../lists/companies.txt")),
    (is::FORM, include_str!("../lists/forms.txt")),
    (is::BODY, include_str!("../lists/bodies.txt")),
    (is::STREET, include_str!("../lists/streets.txt")),
    (is::UNIT, include_str!("../lists/units.txt")),
    (is::HONORIFIC, include_str!("../lists/honorifics.txt")),
    (is::MONTH, include_str!("../lists/months.txt")),
    (is::DAY, include_str!("../lists/days.txt")),
    (is::PARTICLE, include_str!("../lists/particles.txt")),
    (is::AGE, include_str!("../lists/age.txt")),
    (is::COMMON, include_str!("../lists/common.txt")),
    (is::TECHNICAL, include_str!("../lists/technical.txt")),
];

/// All lists together.
#[derive(Debug)]
pub(super) struct Lexicon(Table);

impl Lexicon {
    pub(super) fn built_in() -> Lexicon {
        let all = LISTS.iter().flat_map(|(what, list)| words(list).map(|word| (fold::hash(word), *what)));
        Lexicon(Table::of(all, |old, new| old | new))
    }

    /// What a word may be, by its number.
    #[inline(always)]
    pub(super) fn get(&self, hash: u64) -> u32 {
        self.0.get(hash).unwrap_or(0)
    }
}

/// The single words of a list: of what has several, each one of three letters or more.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.starts_with('#')).flat_map(|line| {
        line.split(',').flat_map(|entry| {
            let several = entry.trim().contains(' ');
            entry
                .split_whitespace()
                .filter(move |word| !several || word.chars().count() >= 3 && !word.eq_ignore_ascii_case("the"))
        })
    })
}

/// The entries of the list of that name, for those who make texts to learn from.
#[must_use]
pub fn entries(name: &str) -> Vec<&'static str> {
    let what = match name {
        "given" => is::GIVEN,
        "family" => is::FAMILY,
        "towns" => is::TOWN,
        "countries" => is::COUNTRY,
        "peoples" => is::PEOPLE,
        "jobs" => is::JOB,
        "companies" => is::COMPANY,
        "forms" => is::FORM,
        "bodies" => is::BODY,
        "streets" => is::STREET,
        _ => return Vec::new(),
    };
    let list = LISTS.iter().find(|(held, _)| *held == what).map_or("", |(_, list)| *list);
    let entries = list.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(','));
    entries.map(str::trim).filter(|entry| !entry.is_empty()).collect()
}
