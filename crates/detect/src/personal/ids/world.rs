//! The Americas, Africa, Asia and Oceania.

use super::super::PersonalKind::{HealthId, NationalId, TaxId};
use super::super::check::{digit, is_day, luhn, number, verhoeff, weighted, yymmdd};
use super::{Identifier, at, letter};

pub(super) const ALL: &[Identifier] = &[
    Identifier {
        name: "US.ssn",
        kind: NationalId,
        shapes: &["ddddddddd"],
        forms: &["ddd-dd-dddd", "ddd dd dddd"],
        check: |t| {
            !matches!(number(t, 0, 3), 0 | 666 | 900..=999)
                && number(t, 3, 2) > 0
                && number(t, 5, 4) > 0
                && !matches!(t, b"123456789" | b"078051120" | b"111111111" | b"219099999")
        },
        alone: 0,
        formed: 800,
        words: "ssn|social security|ss number|social|socialsecurity|ssns|ss no",
    },
    Identifier {
        name: "US.itin",
        kind: TaxId,
        shapes: &["9dddddddd"],
        forms: &["9dd-dd-dddd"],
        check: |t| matches!(number(t, 3, 2), 50..=65 | 70..=88 | 90..=92 | 94..=99),
        alone: 0,
        formed: 750,
        words: "itin|taxpayer|taxpayer identification|tin|tax id",
    },
    Identifier {
        name: "US.medicare",
        kind: HealthId,
        shapes: &["dLXdLXdLLdd"],
        forms: &["dLXd-LXd-LLdd"],
        check: |t| at(t, 0) != b'0' && !t.iter().any(|byte| b"SLOIBZ".contains(byte)),
        alone: 600,
        formed: 900,
        words: "medicare|mbi|beneficiary",
    },
    Identifier {
        name: "CA.sin",
        kind: NationalId,
        shapes: &["ddddddddd"],
        forms: &["ddd ddd ddd", "ddd-ddd-ddd"],
        check: luhn,
        alone: 0,
        formed: 500,
        words: "sin|social insurance|assurance sociale|nas",
    },
    Identifier {
        name: "MX.curp",
        kind: NationalId,
        shapes: &["LLLLddddddLLLLLLXd"],
        forms: &[],
        check: |t| {
            let value = |byte: &u8| match byte {
                b'0'..=b'9' => u32::from(byte - b'0'),
                // Ñ stands between N and O.
                b'A'..=b'N' => u32::from(byte - b'A') + 10,
                _ => u32::from(byte.wrapping_sub(b'A')) + 11,
            };
            let sum: u32 = t.iter().take(17).zip((2..=18).rev()).map(|(byte, weight)| value(byte) * weight).sum();
            (10 - sum % 10) % 10 == digit(t, 17) && yymmdd(t, 4) && matches!(at(t, 10), b'H' | b'M' | b'X')
        },
        alone: 950,
        formed: 0,
        words: "curp",
    },
    Identifier {
        name: "MX.rfc",
        kind: TaxId,
        shapes: &["LLLLddddddXXX"],
        forms: &["LLLL-dddddd-XXX"],
        check: |t| yymmdd(t, 4),
        alone: 550,
        formed: 700,
        words: "rfc|contribuyente|contribuyentes",
    },
    Identifier {
        name: "BR.cpf",
        kind: TaxId,
        shapes: &["ddddddddddd"],
        forms: &["ddd.ddd.ddd-dd"],
        check: |t| {
            let first = weighted(t, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
            let second = weighted(t, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) * 10 % 11 % 10;
            first == digit(t, 9) && second == digit(t, 10) && t.iter().any(|byte| *byte != at(t, 0))
        },
        alone: 0,
        formed: 950,
        words: "cpf|cadastro|pessoa fisica",
    },
    Identifier {
        name: "BR.cnpj",
        kind: TaxId,
        shapes: &["dddddddddddddd"],
        forms: &["dd.ddd.ddd/dddd-dd"],
        check: |t| {
            let rest = |sum: u32| if sum % 11 < 2 { 0 } else { 11 - sum % 11 };
            rest(weighted(t, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == digit(t, 12)
                && rest(weighted(t, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])) == digit(t, 13)
                && number(t, 0, 8) > 0
        },
        alone: 0,
        formed: 950,
        words: "cnpj",
    },
    Identifier {
        name: "AR.cuil",
        kind: TaxId,
        shapes: &["ddddddddddd"],
        forms: &["dd-dddddddd-d"],
        check: |t| {
            let rest = 11 - weighted(t, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
            matches!(number(t, 0, 2), 20 | 23 | 24 | 27 | 30 | 33 | 34)
                && (if rest == 11 { 0 } else { rest }) == digit(t, 10)
                && rest != 10
        },
        alone: 0,
        formed: 900,
        words: "cuil|cuit",
    },
    Identifier {
        name: "AR.dni",
        kind: NationalId,
        shapes: &["dddddddd", "ddddddd"],
        forms: &["dd.ddd.ddd"],
        check: |t| at(t, 0) != b'0',
        alone: 0,
        formed: 0,
        words: "dni",
    },
    Identifier {
        name: "CL.rut",
        kind: NationalId,
        shapes: &["ddddddddX", "dddddddX"],
        forms: &["dd.ddd.ddd-X", "d.ddd.ddd-X", "dddddddd-X"],
        check: |t| {
            let Some((last, rest)) = t.split_last() else { return false };
            let sum: u32 =
                (0..rest.len()).map(|place| digit(rest, rest.len() - 1 - place) * (2 + place as u32 % 6)).sum();
            letter(b"0K987654321", u64::from(sum % 11)) == *last && number(rest, 0, rest.len()) > 100_000
        },
        alone: 0,
        formed: 850,
        words: "rut|run|rol unico",
    },
    Identifier {
        name: "UY.ci",
        kind: NationalId,
        shapes: &["dddddddd"],
        forms: &["d.ddd.ddd-d"],
        check: |t| (10 - weighted(t, &[2, 9, 8, 7, 6, 3, 4]) % 10) % 10 == digit(t, 7),
        alone: 0,
        formed: 850,
        words: "cedula|cédula|ci",
    },
    Identifier {
        name: "EC.cedula",
        kind: NationalId,
        shapes: &["dddddddddd"],
        forms: &["ddddddddd-d"],
        check: |t| luhn(t) && matches!(number(t, 0, 2), 1..=24 | 30) && digit(t, 2) < 6,
        alone: 0,
        formed: 700,
        words: "cedula|cédula",
    },
    Identifier {
        name: "CO.cedula",
        kind: NationalId,
        shapes: &["dddddddddd", "dddddddd"],
        forms: &["d.ddd.ddd.ddd", "dd.ddd.ddd"],
        check: |t| at(t, 0) != b'0',
        alone: 0,
        formed: 0,
        words: "cedula|cédula|cedula de|ciudadania",
    },
    Identifier {
        name: "ZA.id",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &["dddddd dddd ddd", "dddddd dddd dd d"],
        check: |t| {
            luhn(t) && yymmdd(t, 0) && matches!(at(t, 10), b'0' | b'1' | b'2') && matches!(at(t, 11), b'8' | b'9')
        },
        alone: 700,
        formed: 900,
        words: "id number|identity number|south african|sa id|id no|rsa id",
    },
    Identifier {
        name: "EG.id",
        kind: NationalId,
        shapes: &["dddddddddddddd"],
        forms: &[],
        check: |t| matches!(at(t, 0), b'2' | b'3') && yymmdd(t, 1) && matches!(number(t, 7, 2), 1..=35 | 88),
        alone: 0,
        formed: 0,
        words: "egyptian|egypt|raqam|الرقم القومي|القومي",
    },
    Identifier {
        name: "NG.nin",
        kind: NationalId,
        shapes: &["ddddddddddd"],
        forms: &[],
        check: |t| t.iter().any(|byte| *byte != at(t, 0)),
        alone: 0,
        formed: 0,
        words: "nin|nimc|bvn",
    },
    Identifier {
        name: "AE.emirates_id",
        kind: NationalId,
        shapes: &["784dddddddddddd"],
        forms: &["784-dddd-ddddddd-d"],
        check: |t| luhn(t) && matches!(number(t, 3, 4), 1900..=2099),
        alone: 800,
        formed: 970,
        words: "emirates|emirates id|uae",
    },
    Identifier {
        name: "SA.id",
        kind: NationalId,
        shapes: &["1ddddddddd", "2ddddddddd"],
        forms: &[],
        check: luhn,
        alone: 0,
        formed: 0,
        words: "iqama|saudi|الهوية|هوية",
    },
    Identifier {
        name: "IL.teudat_zehut",
        kind: NationalId,
        shapes: &["ddddddddd"],
        forms: &["dddddddd-d"],
        check: |t| luhn(t) && number(t, 0, 9) > 0,
        alone: 0,
        formed: 450,
        words: "zehut|teudat|teudat zehut|תעודת|זהות|ת.ז|israeli",
    },
    Identifier {
        name: "IN.aadhaar",
        kind: NationalId,
        shapes: &["dddddddddddd"],
        forms: &["dddd dddd dddd", "dddd-dddd-dddd"],
        check: |t| verhoeff(t) && !matches!(at(t, 0), b'0' | b'1'),
        alone: 0,
        formed: 700,
        words: "aadhaar|aadhar|uid|uidai|आधार",
    },
    Identifier {
        name: "IN.pan",
        kind: TaxId,
        shapes: &["LLLLLddddL"],
        forms: &[],
        check: |t| b"ABCFGHJLPT".contains(&at(t, 3)),
        alone: 600,
        formed: 0,
        words: "pan|pan card|permanent account|income tax",
    },
    Identifier {
        name: "PK.cnic",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &["ddddd-ddddddd-d"],
        check: |t| matches!(at(t, 0), b'1'..=b'8'),
        alone: 0,
        formed: 700,
        words: "cnic|nic|nadra",
    },
    Identifier {
        name: "CN.id",
        kind: NationalId,
        shapes: &["dddddddddddddddddX"],
        forms: &[],
        check: |t| {
            let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
            letter(b"10X98765432", u64::from(weighted(t, &weights) % 11)) == at(t, 17)
                && matches!(number(t, 6, 2), 18..=20)
                && is_day(number(t, 10, 2), number(t, 12, 2))
        },
        alone: 930,
        formed: 0,
        words: "身份证|身份证号|公民身份|resident id|shenfenzheng",
    },
    Identifier {
        name: "HK.id",
        kind: NationalId,
        shapes: &["LddddddX", "LLddddddX"],
        forms: &["Ldddddd(X)", "LLdddddd(X)"],
        check: |t| {
            let value =
                |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') + 10 });
            let one = if t.len() == 8 { 36 * 9 } else { 0 };
            let last = at(t, t.len().saturating_sub(1));
            let weights = if t.len() == 8 { 8..=8_u32 } else { 9..=9 };
            let sum: u32 = t.iter().zip((2..=*weights.end()).rev()).map(|(byte, weight)| value(*byte) * weight).sum();
            letter(b"0A987654321", u64::from((sum + one) % 11)) == last
        },
        alone: 0,
        formed: 930,
        words: "hkid|hong kong|身份證|identity card",
    },
    Identifier {
        name: "TW.id",
        kind: NationalId,
        shapes: &["L1dddddddd", "L2dddddddd", "L8dddddddd", "L9dddddddd"],
        forms: &[],
        check: |t| {
            let code =
                b"ABCDEFGHJKLMNPQRSTUVXYWZIO".iter().position(|letter| *letter == at(t, 0)).unwrap_or(0) as u32 + 10;
            let sum = code / 10 + code % 10 * 9 + weighted(t, &[0, 8, 7, 6, 5, 4, 3, 2, 1, 1]);
            sum.is_multiple_of(10)
        },
        alone: 650,
        formed: 0,
        words: "身分證|身份證|taiwan|taiwanese|統一編號",
    },
    Identifier {
        name: "SG.nric",
        kind: NationalId,
        shapes: &["LdddddddL"],
        forms: &[],
        check: |t| {
            let extra = match at(t, 0) {
                b'T' | b'G' => 4,
                b'S' | b'F' => 0,
                b'M' => 3,
                _ => return false,
            };
            let rest = u64::from((extra + weighted(t.get(1..).unwrap_or_default(), &[2, 7, 6, 5, 4, 3, 2])) % 11);
            let wanted = match at(t, 0) {
                b'S' | b'T' => letter(b"JZIHGFEDCBA", rest),
                b'M' => letter(b"KLJNPQRTUWX", 10 - rest),
                _ => letter(b"XWUTRQPNMLK", rest),
            };
            wanted == at(t, 8)
        },
        alone: 800,
        formed: 0,
        words: "nric|fin|singapore|identity card",
    },
    Identifier {
        name: "MY.mykad",
        kind: NationalId,
        shapes: &["dddddddddddd"],
        forms: &["dddddd-dd-dddd"],
        check: |t| {
            yymmdd(t, 0)
                && matches!(number(t, 6, 2), 1..=16 | 21..=59 | 60..=68 | 71..=72 | 74..=79 | 82..=93 | 98 | 99)
        },
        alone: 0,
        formed: 800,
        words: "mykad|nric|ic|ic number|kad pengenalan|pengenalan",
    },
    Identifier {
        name: "ID.nik",
        kind: NationalId,
        shapes: &["dddddddddddddddd"],
        forms: &[],
        check: |t| {
            let day = number(t, 6, 2);
            is_day(number(t, 8, 2), if day > 40 { day - 40 } else { day }) && matches!(number(t, 0, 2), 11..=96)
        },
        alone: 0,
        formed: 0,
        words: "nik|ktp|induk|kependudukan",
    },
    Identifier {
        name: "TH.id",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &["d-dddd-ddddd-dd-d", "d dddd ddddd dd d"],
        check: |t| {
            let sum = weighted(t, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
            (11 - sum % 11) % 10 == digit(t, 12) && matches!(at(t, 0), b'1'..=b'8')
        },
        alone: 0,
        formed: 950,
        words: "thai|thailand|บัตรประชาชน|ประชาชน|เลขประจำตัว",
    },
    Identifier {
        name: "VN.cccd",
        kind: NationalId,
        shapes: &["dddddddddddd"],
        forms: &[],
        check: |t| at(t, 0) == b'0' && number(t, 0, 3) <= 96 && number(t, 0, 3) > 0,
        alone: 0,
        formed: 0,
        words: "cccd|cmnd|can cuoc|căn cước",
    },
    Identifier {
        name: "KR.rrn",
        kind: NationalId,
        shapes: &["ddddddddddddd"],
        forms: &["dddddd-ddddddd"],
        check: |t| {
            // Those of after October 2020 have no check digit.
            let old = (11 - weighted(t, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10 == digit(t, 12);
            yymmdd(t, 0) && matches!(at(t, 6), b'1'..=b'8') && (old || number(t, 0, 2) >= 20)
        },
        alone: 0,
        formed: 900,
        words: "rrn|주민등록번호|주민번호|주민등록|resident registration",
    },
    Identifier {
        name: "JP.my_number",
        kind: NationalId,
        shapes: &["dddddddddddd"],
        forms: &["dddd dddd dddd"],
        check: |t| {
            let rest = weighted(t, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
            (if rest < 2 { 0 } else { 11 - rest }) == digit(t, 11)
        },
        alone: 0,
        formed: 0,
        words: "マイナンバー|個人番号|mynumber|my number",
    },
    Identifier {
        name: "AU.tfn",
        kind: TaxId,
        shapes: &["ddddddddd", "dddddddd"],
        forms: &["ddd ddd ddd"],
        check: |t| weighted(t, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && number(t, 0, t.len()) > 0,
        alone: 0,
        formed: 0,
        words: "tfn|tax file|file number",
    },
    Identifier {
        name: "AU.medicare",
        kind: HealthId,
        shapes: &["dddddddddd", "ddddddddddd"],
        forms: &["dddd ddddd d", "dddd ddddd d d"],
        check: |t| matches!(at(t, 0), b'2'..=b'6') && weighted(t, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == digit(t, 8),
        alone: 0,
        formed: 700,
        words: "medicare|irn",
    },
    Identifier {
        name: "AU.abn",
        kind: TaxId,
        shapes: &["ddddddddddd"],
        forms: &["dd ddd ddd ddd"],
        check: |t| at(t, 0) != b'0' && (weighted(t, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) - 10).is_multiple_of(89),
        alone: 0,
        formed: 800,
        words: "abn|business number",
    },
    Identifier {
        name: "NZ.ird",
        kind: TaxId,
        shapes: &["ddddddddd", "dddddddd"],
        forms: &["ddd-ddd-ddd", "dd-ddd-ddd"],
        check: |t| {
            let long = if t.len() == 8 { [b"0", t].concat() } else { t.to_vec() };
            let rest = |weights: &[u32]| match weighted(&long, weights) % 11 {
                0 => 0,
                rest => 11 - rest,
            };
            let first = rest(&[3, 2, 7, 6, 5, 4, 3, 2]);
            let last = if first == 10 { rest(&[7, 4, 3, 2, 5, 2, 7, 6]) } else { first };
            last == digit(&long, 8) && number(&long, 0, 9) > 10_000_000
        },
        alone: 0,
        formed: 450,
        words: "ird|inland revenue",
    },
];
