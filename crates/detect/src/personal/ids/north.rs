//! Northern and eastern Europe.

use super::super::PersonalKind::{HealthId, NationalId, TaxId};
use super::super::check::{ddmmyy, digit, is_day, luhn, mod11_10, number, weighted, yymmdd};
use super::{Identifier, at, letter};

pub(super) const ALL: &[Identifier] = &[
    Identifier {
        name: "SE.personnummer",
        kind: NationalId,
        shapes: &["dddddddddd", "dddddddddddd"],
        forms: &["dddddd-dddd", "dddddddd-dddd", "dddddd+dddd"],
        check: |t| {
            let short = if t.len() == 12 { t.get(2..).unwrap_or_default() } else { t };
            let century = t.len() == 10 || matches!(number(t, 0, 2), 18..=20);
            // From 60 on it is the day of a number for coordination.
            let day = number(short, 4, 2);
            century && luhn(short) && is_day(number(short, 2, 2), if day > 60 { day - 60 } else { day })
        },
        alone: 0,
        formed: 750,
        words: "personnummer|personnr|samordningsnummer|pnr|personal identity",
    },
    Identifier {
        name: "NO.fodselsnummer",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &["dddddd ddddd"],
        check: |t| {
            let first = (11 - weighted(t, &[3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11) % 11;
            let second = (11 - weighted(t, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
            let (day, month) = (number(t, 0, 2), number(t, 2, 2));
            first == digit(t, 9) && second == digit(t, 10) && is_day(month % 40, if day > 40 { day - 40 } else { day })
        },
        alone: 550,
        formed: 800,
        words: "fodselsnummer|fødselsnummer|personnummer|fnr|d-nummer|fodselsnr",
    },
    Identifier {
        name: "DK.cpr",
        kind: NationalId,
        shapes: &["dddddddddd"],
        forms: &["dddddd-dddd"],
        check: |t| ddmmyy(t, 0),
        alone: 0,
        formed: 600,
        words: "cpr|personnummer|cpr-nummer|cpr-nr|cpr nummer",
    },
    Identifier {
        name: "FI.hetu",
        kind: NationalId,
        shapes: &["dddddddddX", "ddddddLdddX"],
        forms: &["dddddd-dddX", "dddddd+dddX", "ddddddAdddX"],
        check: |t| {
            let (sign, serial) = if t.len() == 11 { (at(t, 6), 7) } else { (b'-', 6) };
            let whole = number(t, 0, 6) * 1000 + number(t, serial, 3);
            matches!(sign, b'-' | b'A'..=b'F' | b'U'..=b'Y')
                && ddmmyy(t, 0)
                && number(t, serial, 3) >= 2
                && letter(b"0123456789ABCDEFHJKLMNPRSTUVWXY", whole % 31) == at(t, serial + 3)
        },
        alone: 0,
        formed: 930,
        words: "hetu|henkilotunnus|henkilötunnus|personbeteckning|sotu",
    },
    Identifier {
        name: "IS.kennitala",
        kind: NationalId,
        shapes: &["dddddddddd"],
        forms: &["dddddd-dddd"],
        check: |t| {
            let day = number(t, 0, 2) % 40;
            (11 - weighted(t, &[3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11 == digit(t, 8)
                && is_day(number(t, 2, 2), day)
                && matches!(at(t, 9), b'8' | b'9' | b'0')
        },
        alone: 0,
        formed: 800,
        words: "kennitala|kt|kennitolu",
    },
    Identifier {
        name: "EE.isikukood",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: baltic,
        alone: 0,
        formed: 0,
        words: "isikukood|isikukoodi|ik|personal code",
    },
    Identifier {
        name: "LT.asmens_kodas",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: baltic,
        alone: 0,
        formed: 0,
        words: "asmens|asmens kodas|kodas|a.k",
    },
    Identifier {
        name: "LV.personas_kods",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &["dddddd-ddddd"],
        check: |t| {
            let sum = weighted(t, &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
            let old = ddmmyy(t, 0) && (1101 - sum) % 11 % 10 == digit(t, 10);
            old || (number(t, 0, 2) == 32 && t.len() == 11)
        },
        alone: 0,
        formed: 700,
        words: "personas|kods|personas kods|pk",
    },
    Identifier {
        name: "PL.pesel",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: |t| {
            let sum = weighted(t, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
            (10 - sum % 10) % 10 == digit(t, 10) && is_day(number(t, 2, 2) % 20, number(t, 4, 2))
        },
        alone: 0,
        formed: 0,
        words: "pesel|numer pesel|peselu",
    },
    Identifier {
        name: "PL.nip",
        kind: TaxId,
        shapes: &["dddddddddd"],
        forms: &["ddd-ddd-dd-dd", "ddd-dd-dd-ddd"],
        check: |t| weighted(t, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digit(t, 9) && number(t, 0, 3) >= 101,
        alone: 0,
        formed: 700,
        words: "nip|numer nip|podatkowy|podatnika",
    },
    Identifier {
        name: "PL.dowod",
        kind: NationalId,
        shapes: &["LLLdddddd"],
        forms: &[],
        check: |t| {
            let value =
                |byte: &u8| if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::from(byte - b'A') + 10 };
            let sum: u32 = t.iter().zip([7, 3, 1, 9, 7, 3, 1, 7, 3]).map(|(byte, weight)| value(byte) * weight).sum();
            sum.is_multiple_of(10)
        },
        alone: 0,
        formed: 0,
        words: "dowod|dowód|dowodu|osobistego|osobisty|seria",
    },
    Identifier {
        name: "CZ.rodne_cislo",
        kind: NationalId,
        shapes: &["dddddddddd"],
        forms: &["dddddd/dddd"],
        check: |t| {
            let month = number(t, 2, 2) % 50 % 20;
            (number(t, 0, 10).is_multiple_of(11) || (number(t, 0, 9) % 11 == 10 && digit(t, 9) == 0))
                && is_day(month, number(t, 4, 2))
        },
        alone: 0,
        formed: 900,
        words: "rodne|rodné|rodne cislo|rodné číslo|rc|rč|rodneho|rodného",
    },
    Identifier {
        name: "HU.taj",
        kind: HealthId,
        shapes: &["ddddddddd"],
        forms: &[],
        check: |t| weighted(t, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == digit(t, 8) && number(t, 0, 9) > 0,
        alone: 0,
        formed: 0,
        words: "taj|taj-szam|taj szam|taj-szám|tb",
    },
    Identifier {
        name: "HU.adoazonosito",
        kind: TaxId,
        shapes: &["8ddddddddd"],
        forms: &[],
        check: |t| weighted(t, &[1, 2, 3, 4, 5, 6, 7, 8, 9]) % 11 == digit(t, 9),
        alone: 0,
        formed: 0,
        words: "adoazonosito|adóazonosító|adoszam|adóazonosítója",
    },
    Identifier {
        name: "HU.szemelyi",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &["d-dddddd-dddd", "d dddddd dddd"],
        check: |t| {
            let up = weighted(t, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) % 11;
            let down = weighted(t, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11;
            (up == digit(t, 10) || down == digit(t, 10)) && yymmdd(t, 1) && matches!(at(t, 0), b'1'..=b'8')
        },
        alone: 0,
        formed: 850,
        words: "szemelyi|személyi|azonosito|személyi szám|személyi azonosító",
    },
    Identifier {
        name: "RO.cnp",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &[],
        check: |t| {
            let rest = weighted(t, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
            (if rest == 10 { 1 } else { rest }) == digit(t, 12)
                && yymmdd(t, 1)
                && at(t, 0) != b'0'
                && matches!(number(t, 7, 2), 1..=52 | 70 | 80)
        },
        alone: 500,
        formed: 0,
        words: "cnp|cod numeric|numeric personal",
    },
    Identifier {
        name: "BG.egn",
        kind: NationalId,
        shapes: &["dddddddddd"],
        forms: &[],
        check: |t| {
            weighted(t, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == digit(t, 9)
                && is_day(number(t, 2, 2) % 20, number(t, 4, 2))
        },
        alone: 0,
        formed: 0,
        words: "egn|егн",
    },
    Identifier {
        name: "HR.oib",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: mod11_10,
        alone: 0,
        formed: 0,
        words: "oib",
    },
    Identifier {
        name: "SI.emso",
        kind: NationalId,
        shapes: &["ddddddd5ddddd"],
        forms: &[],
        check: jmbg,
        alone: 550,
        formed: 0,
        words: "emso|emšo|maticna",
    },
    Identifier {
        name: "RS.jmbg",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &[],
        check: |t| jmbg(t) && at(t, 7) != b'5',
        alone: 450,
        formed: 0,
        words: "jmbg|maticni|matični|матични|јмбг",
    },
    Identifier {
        name: "UA.rnokpp",
        kind: TaxId,
        shapes: &["dddddddddd"],
        forms: &[],
        check: |t| {
            let sum = i64::from(weighted(t, &[0, 5, 7, 9, 4, 6, 10, 5, 7])) - i64::from(digit(t, 0));
            u32::try_from(sum.rem_euclid(11) % 10) == Ok(digit(t, 9))
        },
        alone: 0,
        formed: 0,
        words: "рнокпп|rnokpp|ідентифікаційний|іпн|inn",
    },
    Identifier {
        name: "RU.inn",
        kind: TaxId,
        shapes: &["dddddddddddd"],
        forms: &[],
        check: |t| {
            weighted(t, &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == digit(t, 10)
                && weighted(t, &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) % 11 % 10 == digit(t, 11)
        },
        alone: 0,
        formed: 0,
        words: "инн|inn",
    },
    Identifier {
        name: "RU.snils",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &["ddd-ddd-ddd dd", "ddd-ddd-ddd-dd"],
        check: |t| u64::from(weighted(t, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100) == number(t, 9, 2),
        alone: 0,
        formed: 950,
        words: "снилс|snils",
    },
    Identifier {
        name: "KZ.iin",
        kind: NationalId,
        shapes: &["dddddddddddd"],
        forms: &[],
        check: |t| {
            let first = weighted(t, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) % 11;
            let second = weighted(t, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]) % 11;
            (if first == 10 { second } else { first }) == digit(t, 11) && yymmdd(t, 0)
        },
        alone: 0,
        formed: 0,
        words: "иин|iin|жсн",
    },
];

/// Estonia and Lithuania number alike: a second row of weights where the first leaves ten.
fn baltic(t: &[u8]) -> bool {
    let first = weighted(t, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(t, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let last = if first < 10 { first } else { second % 10 };
    last == digit(t, 10) && yymmdd(t, 1) && matches!(at(t, 0), b'1'..=b'6')
}

/// The number of Yugoslavia, which its successors kept.
fn jmbg(t: &[u8]) -> bool {
    let rest = weighted(t, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    (11 - rest) % 11 == digit(t, 12) && rest != 1 && ddmmyy(t, 0) && matches!(at(t, 4), b'9' | b'0')
}
