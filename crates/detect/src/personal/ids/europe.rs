//! Western, southern and central Europe.

use super::super::PersonalKind::{DrivingLicence, HealthId, NationalId, TaxId};
use super::super::check::{ddmmyy, digit, ean, is_day, luhn, mod11_10, number, weighted};
use super::{Identifier, at, letter};

pub(super) const ALL: &[Identifier] = &[
    Identifier {
        name: "GB.nino",
        kind: NationalId,
        shapes: &["LLddddddL"],
        forms: &["LL dd dd dd L", "LL dddddd L"],
        check: nino,
        alone: 650,
        formed: 850,
        words: "nino|national insurance|ni number|insurance number",
    },
    Identifier {
        name: "GB.nhs",
        kind: HealthId,
        shapes: &["dddddddddd"],
        forms: &["ddd ddd dddd"],
        check: |t| (11 - weighted(t, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11 == digit(t, 9),
        alone: 0,
        formed: 450,
        words: "nhs",
    },
    Identifier {
        name: "GB.driving_licence",
        kind: DrivingLicence,
        shapes: &["LLLLLddddddLLXLL", "LLLLLddddddLLdLL"],
        forms: &[],
        check: |t| {
            let month = number(t, 6, 2) % 50;
            is_day(month, number(t, 8, 2))
        },
        alone: 600,
        formed: 0,
        words: "licence|license|driving|driver|dvla",
    },
    Identifier {
        name: "GB.utr",
        kind: TaxId,
        shapes: &["dddddddddd"],
        forms: &[],
        check: |t| {
            let rest = weighted(t.get(1..).unwrap_or_default(), &[6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11;
            letter(b"21987654321", u64::from(rest)) == at(t, 0)
        },
        alone: 0,
        formed: 0,
        words: "utr|taxpayer reference",
    },
    Identifier {
        name: "IE.pps",
        kind: NationalId,
        shapes: &["dddddddL", "dddddddLL"],
        forms: &[],
        check: |t| {
            let second = if at(t, 8).is_ascii_uppercase() { u32::from(at(t, 8) - b'A' + 1) * 9 } else { 0 };
            let sum = weighted(t, &[8, 7, 6, 5, 4, 3, 2]) + second;
            letter(b"WABCDEFGHIJKLMNOPQRSTUV", u64::from(sum % 23)) == at(t, 7)
                && matches!(at(t, 8), 0 | b'A' | b'B' | b'H' | b'W')
        },
        alone: 500,
        formed: 0,
        words: "pps|ppsn|personal public",
    },
    Identifier {
        name: "DE.steuer_id",
        kind: TaxId,
        shapes: &["ddddddddddd"],
        forms: &["dd ddd ddd ddd"],
        check: |t| at(t, 0) != b'0' && mod11_10(t) && repeats_one(t),
        alone: 0,
        formed: 800,
        words: "steuer|steuerid|steuernummer|steueridentifikationsnummer|idnr|identifikationsnummer|tin|steuer id|tax",
    },
    Identifier {
        name: "DE.ausweis",
        kind: NationalId,
        shapes: &["LXXXXXXXXd"],
        forms: &[],
        check: |t| {
            let (number, last) = t.split_at(9.min(t.len()));
            super::super::check::icao(number) == digit(last, 0)
                && number.iter().filter(|byte| byte.is_ascii_digit()).count() >= 4
        },
        alone: 0,
        formed: 0,
        words: "personalausweis|ausweis|ausweisnummer|perso|identity card|personalausweisnummer",
    },
    Identifier {
        name: "DE.versicherungsnummer",
        kind: HealthId,
        shapes: &["ddddddddLddd"],
        forms: &["dd dddddd L ddd"],
        check: |t| {
            let code = u32::from(at(t, 8).wrapping_sub(b'A')) + 1;
            let mut plain = t.get(..8).unwrap_or_default().to_vec();
            plain.extend([b'0' + (code / 10) as u8, b'0' + (code % 10) as u8]);
            plain.extend(t.get(9..11).unwrap_or_default());
            let sum: u32 = plain
                .iter()
                .zip([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])
                .map(|(byte, weight)| u32::from(byte.wrapping_sub(b'0')) * weight)
                .map(|product| product / 10 + product % 10)
                .sum();
            sum % 10 == digit(t, 11) && is_day(number(t, 4, 2), number(t, 2, 2))
        },
        alone: 800,
        formed: 950,
        words: "rentenversicherungsnummer|versicherungsnummer|sozialversicherungsnummer|svnr|rvnr|rentenversicherung",
    },
    Identifier {
        name: "DE.kvnr",
        kind: HealthId,
        shapes: &["Lddddddddd"],
        forms: &[],
        check: |t| {
            let code = u32::from(at(t, 0).wrapping_sub(b'A')) + 1;
            let mut plain = vec![b'0' + (code / 10) as u8, b'0' + (code % 10) as u8];
            plain.extend(t.get(1..9).unwrap_or_default());
            let sum: u32 = plain
                .iter()
                .zip([1, 2].into_iter().cycle())
                .map(|(byte, weight)| u32::from(byte.wrapping_sub(b'0')) * weight)
                .map(|product| product / 10 + product % 10)
                .sum();
            sum % 10 == digit(t, 9)
        },
        alone: 0,
        formed: 0,
        words: "krankenversicherungsnummer|krankenkasse|versichertennummer|kvnr|krankenversicherung|versicherten",
    },
    Identifier {
        name: "AT.svnr",
        kind: HealthId,
        shapes: &["dddddddddd"],
        forms: &["dddd dddddd"],
        check: |t| weighted(t, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == digit(t, 3) && at(t, 0) != b'0' && ddmmyy(t, 4),
        alone: 0,
        formed: 600,
        words: "svnr|sozialversicherungsnummer|versicherungsnummer|sv nummer|sozialversicherung|svn",
    },
    Identifier {
        name: "CH.ahv",
        kind: NationalId,
        shapes: &["756dddddddddd"],
        forms: &["756.dddd.dddd.dd"],
        check: ean,
        alone: 850,
        formed: 970,
        words: "ahv|avs|ahvn13|ahv-nr|sozialversicherungsnummer|nss",
    },
    Identifier {
        name: "FR.nir",
        kind: NationalId,
        shapes: &["ddddddddddddddd", "ddddd2Adddddddd", "ddddd2Bdddddddd"],
        forms: &["d dd dd dd ddd ddd dd", "d dd dd dX ddd ddd dd"],
        check: nir,
        alone: 750,
        formed: 950,
        words: "nir|securite sociale|secu|numero de securite|immatriculation|insee|carte vitale|vitale",
    },
    Identifier {
        name: "FR.spi",
        kind: TaxId,
        shapes: &["ddddddddddddd"],
        forms: &["dd dd ddd ddd ddd"],
        check: |t| matches!(at(t, 0), b'0'..=b'3') && number(t, 0, 10) % 511 == number(t, 10, 3),
        alone: 0,
        formed: 850,
        words: "spi|numero fiscal|fiscal",
    },
    Identifier {
        name: "ES.dni",
        kind: NationalId,
        shapes: &["ddddddddL"],
        forms: &["dddddddd-L", "dd.ddd.ddd-L"],
        check: |t| letter(SPAIN, number(t, 0, 8) % 23) == at(t, 8),
        alone: 650,
        formed: 800,
        words: "dni|nif|documento|identidad|documento nacional",
    },
    Identifier {
        name: "ES.nie",
        kind: NationalId,
        shapes: &["XdddddddL", "YdddddddL", "ZdddddddL", "LdddddddL"],
        forms: &["L-ddddddd-L"],
        check: |t| {
            let first = u64::from(at(t, 0).wrapping_sub(b'X'));
            first < 3 && letter(SPAIN, (first * 10_000_000 + number(t, 1, 7)) % 23) == at(t, 8)
        },
        alone: 700,
        formed: 850,
        words: "nie|nif|extranjero|documento",
    },
    Identifier {
        name: "IT.codice_fiscale",
        kind: TaxId,
        shapes: &["LLLLLLXXLXXLXXXL"],
        forms: &[],
        check: codice_fiscale,
        alone: 930,
        formed: 0,
        words: "codice fiscale|codice|fiscale|cf",
    },
    Identifier {
        name: "IT.partita_iva",
        kind: TaxId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: luhn,
        alone: 0,
        formed: 0,
        words: "partita iva|iva|partita",
    },
    Identifier {
        name: "PT.nif",
        kind: TaxId,
        shapes: &["ddddddddd"],
        forms: &[],
        check: |t| {
            let rest = weighted(t, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            (if rest < 2 { 0 } else { 11 - rest }) == digit(t, 8) && !matches!(at(t, 0), b'0' | b'4')
        },
        alone: 0,
        formed: 0,
        words: "nif|contribuinte|numero fiscal|nif portugal",
    },
    Identifier {
        name: "NL.bsn",
        kind: NationalId,
        shapes: &["ddddddddd", "0dddddddd"],
        forms: &[],
        check: |t| {
            let sum = weighted(t, &[9, 8, 7, 6, 5, 4, 3, 2]) + 10 * digit(t, 8);
            sum.is_multiple_of(11) && number(t, 0, 9) > 1_000_000
        },
        alone: 0,
        formed: 0,
        words: "bsn|burgerservicenummer|sofinummer|sofi|burgerservice",
    },
    Identifier {
        name: "BE.national_number",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &["dd.dd.dd-ddd.dd", "dd.dd.dd ddd.dd", "dddddd-ddd.dd"],
        check: |t| {
            let (first, last) = (number(t, 0, 9), number(t, 9, 2));
            let day = is_day(number(t, 2, 2) % 20, number(t, 4, 2)) || number(t, 2, 4) == 0;
            day && (97 - first % 97 == last || 97 - (2_000_000_000 + first) % 97 == last)
        },
        alone: 500,
        formed: 950,
        words: "rijksregister|rijksregisternummer|registre national|insz|niss|numero national|national number|nationaal nummer|rrn",
    },
    Identifier {
        name: "LU.matricule",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &[],
        check: |t| {
            let without = [t.get(..11).unwrap_or_default(), t.get(12..).unwrap_or_default()].concat();
            luhn(t.get(..12).unwrap_or_default())
                && super::super::check::verhoeff(&without)
                && is_day(number(t, 4, 2), number(t, 6, 2))
                && matches!(number(t, 0, 2), 19 | 20)
        },
        alone: 800,
        formed: 0,
        words: "matricule|cns|matricule national|luxembourg",
    },
    Identifier {
        name: "GR.amka",
        kind: HealthId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: |t| luhn(t) && ddmmyy(t, 0),
        alone: 0,
        formed: 0,
        words: "amka|αμκα|social security",
    },
    Identifier {
        name: "GR.afm",
        kind: TaxId,
        shapes: &["ddddddddd"],
        forms: &[],
        check: |t| weighted(t, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == digit(t, 8) && number(t, 0, 9) > 0,
        alone: 0,
        formed: 0,
        words: "afm|αφμ|vat",
    },
    Identifier {
        name: "MT.id",
        kind: NationalId,
        shapes: &["dddddddL"],
        forms: &[],
        check: |t| matches!(at(t, 7), b'M' | b'G' | b'A' | b'P' | b'L' | b'H' | b'B' | b'Z') && number(t, 0, 5) > 0,
        alone: 0,
        formed: 0,
        words: "malta|maltese|karta",
    },
    Identifier {
        name: "TR.tc_kimlik",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: |t| {
            let odd = weighted(t, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
            let even = weighted(t, &[0, 1, 0, 1, 0, 1, 0, 1, 0]);
            at(t, 0) != b'0'
                && (odd * 7 + 1000 - even) % 10 == digit(t, 9)
                && (odd + even + digit(t, 9)) % 10 == digit(t, 10)
        },
        alone: 0,
        formed: 0,
        words: "kimlik|tc|tckn|tc kimlik|kimlik no|vatandaslik",
    },
];

const SPAIN: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn nino(t: &[u8]) -> bool {
    let (first, second) = (at(t, 0), at(t, 1));
    let unused = [*b"BG", *b"GB", *b"NK", *b"KN", *b"TN", *b"NT", *b"ZZ"];
    !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && !unused.contains(&[first, second])
        && matches!(at(t, 8), b'A'..=b'D')
}

/// One digit stands two or three times in the first ten, and all others once at most.
fn repeats_one(t: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    for at in 0..10 {
        if let Some(count) = counts.get_mut(digit(t, at) as usize) {
            *count += 1;
        }
    }
    counts.iter().filter(|count| **count > 1).count() == 1 && counts.iter().all(|count| *count <= 3)
}

/// Departments of Corsica have a letter, which stands for 19 or 18 in the key.
fn nir(t: &[u8]) -> bool {
    let mut plain = t.to_vec();
    for (place, byte) in plain.iter_mut().enumerate() {
        if byte.is_ascii_uppercase() {
            // `2A` is at the sixth and seventh place only.
            if place != 6 {
                return false;
            }
            *byte = if *byte == b'A' { b'9' } else { b'8' };
        }
    }
    if at(t, 6).is_ascii_uppercase()
        && let Some(two) = plain.get_mut(5)
    {
        *two = b'1';
    }
    let month = number(&plain, 3, 2);
    matches!(at(t, 0), b'1' | b'2' | b'3' | b'4' | b'7' | b'8')
        && (matches!(month, 1..=12 | 20 | 30..=42 | 50..=99))
        && number(t, 10, 3) > 0
        && 97 - number(&plain, 0, 13) % 97 == number(&plain, 13, 2)
}

fn codice_fiscale(t: &[u8]) -> bool {
    const ODD: [u32; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
        10, 22, 25, 24, 23,
    ];
    let value = |byte: u8| usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') + 10 });
    let sum: u32 = t
        .iter()
        .take(15)
        .enumerate()
        .map(|(place, byte)| {
            let value = value(*byte);
            if place % 2 == 0 {
                ODD.get(value).copied().unwrap_or(0)
            } else {
                (if value < 10 { value } else { value - 10 }) as u32
            }
        })
        .sum();
    // Where two people would have the same, digits become letters.
    let plain: Vec<u8> =
        t.iter().map(|byte| b"LMNPQRSTUV".iter().position(|l| l == byte).map_or(*byte, |at| b'0' + at as u8)).collect();
    let day = number(&plain, 9, 2) % 40;
    let digits = t.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 4
        && b"ABCDEHLMPRST".contains(&at(t, 8))
        && (1..=31).contains(&day)
        && at(t, 15) == b'A' + (sum % 26) as u8
}
