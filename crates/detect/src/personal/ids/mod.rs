//! Numbers that countries give people, with what makes each a valid one.

mod europe;
mod north;
mod world;

use super::PersonalKind;

/// A kind of number of one country.
pub(super) struct Identifier {
    /// Its name, which begins with the country.
    pub(super) name: &'static str,
    pub(super) kind: PersonalKind,
    /// What it looks like without what separates it: `d` is a digit, `L` a letter, `X` either; all else stands for itself.
    pub(super) shapes: &'static [&'static str],
    /// How it is written so that hardly anything else looks like it.
    pub(super) forms: &'static [&'static str],
    pub(super) check: fn(&[u8]) -> bool,
    /// How sure it is without a word beside it, and in one of its forms; 0 where that says too little.
    pub(super) alone: u16,
    pub(super) formed: u16,
    /// Words that stand beside it, small and without accents, apart by `|`; of two words at most.
    pub(super) words: &'static str,
}

/// The country at the beginning of a name (ISO 3166-1, two letters), if there is one.
pub(super) fn country(name: &str) -> Option<&str> {
    name.split_once('.').map(|(country, _)| country).filter(|country| country.len() == 2)
}

/// All of them, by country.
pub(super) fn all() -> impl Iterator<Item = &'static Identifier> {
    [europe::ALL, north::ALL, world::ALL].into_iter().flatten()
}

/// Whether a text has a shape.
pub(super) fn has_shape(text: &[u8], shape: &str) -> bool {
    text.len() == shape.len()
        && text.iter().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'L' => byte.is_ascii_uppercase(),
            b'X' => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            _ => *byte == wanted,
        })
}

/// The byte at a place; 0 beyond the end.
fn at(text: &[u8], place: usize) -> u8 {
    text.get(place).copied().unwrap_or(0)
}

/// The letter of `alphabet` that a number chooses.
fn letter(alphabet: &[u8], number: u64) -> u8 {
    alphabet.get(usize::try_from(number).unwrap_or(usize::MAX)).copied().unwrap_or(0)
}

/// A valid number made by trying what the last places have to be.
#[cfg(test)]
pub(super) fn made(id: &Identifier, shape: &str, seed: usize) -> Option<String> {
    let mut random = seed as u64 * 2 + 1;
    let mut draw = |end: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % end
    };
    for _ in 0..400_000 {
        let text: Vec<u8> = shape
            .bytes()
            .map(|wanted| match wanted {
                b'd' => b'0' + draw(10) as u8,
                b'L' => b'A' + draw(26) as u8,
                b'X' if draw(2) == 0 => b'0' + draw(10) as u8,
                b'X' => b'A' + draw(26) as u8,
                other => other,
            })
            .collect();
        if (id.check)(&text) {
            return String::from_utf8(text).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let mut names = BTreeSet::new();
        for id in all() {
            assert!(names.insert(id.name), "{}", id.name);
            assert!(country(id.name).is_some(), "{}", id.name);
            assert!(!id.words.is_empty() && id.alone <= 1000 && id.formed <= 1000, "{}", id.name);
            assert!(id.shapes.iter().all(|shape| (5..=18).contains(&shape.len())), "{}", id.name);
        }
        let countries: BTreeSet<_> = all().filter_map(|id| country(id.name)).collect();
        assert!(countries.len() >= 50, "{countries:?}");
    }

    #[test]
    fn of_each_there_are_valid_and_invalid_ones() {
        for id in all() {
            for shape in id.shapes {
                let made: Vec<_> = (1..6).filter_map(|seed| made(id, shape, seed)).collect();
                assert!(!made.is_empty(), "{} of {shape} is never valid", id.name);
                assert!(made.iter().all(|made| has_shape(made.as_bytes(), shape)));
            }
        }
    }

    #[test]
    fn specimens_that_authorities_publish_are_valid_and_their_neighbours_are_not() {
        let mut invalid = Vec::new();
        for (name, text) in [
            ("FI.hetu", "131052308T"),
            ("CH.ahv", "7569217076985"),
            ("IT.codice_fiscale", "RSSMRA85T10A562S"),
            ("HK.id", "A1234563"),
            ("SG.nric", "S1234567D"),
            ("RU.snils", "11223344595"),
            ("BE.national_number", "85073003328"),
            ("PL.pesel", "44051401359"),
            ("ES.dni", "12345678Z"),
            ("ES.nie", "X1234567L"),
            ("FR.nir", "255081416802538"),
            ("BR.cpf", "11144477735"),
            ("BR.cnpj", "11222333000181"),
            ("CL.rut", "306869574"),
            ("CN.id", "11010519491231002X"),
            ("TW.id", "A123456789"),
            ("CA.sin", "046454286"),
            ("GB.nhs", "9434765919"),
            ("NL.bsn", "111222333"),
            ("PT.nif", "123456789"),
            ("AU.tfn", "123456782"),
            ("BG.egn", "7523169263"),
            ("EE.isikukood", "37605030299"),
            ("MX.curp", "BOXW310820HNERXN09"),
            ("IS.kennitala", "1201743399"),
            ("TR.tc_kimlik", "10000000146"),
            ("DE.steuer_id", "86095742719"),
            ("IE.pps", "1234567T"),
            ("ZA.id", "8001015009087"),
            ("LV.personas_kods", "16117519997"),
            ("AT.svnr", "1237010180"),
            ("RO.cnp", "1630615123457"),
            ("HR.oib", "33392005961"),
            ("SI.emso", "0101006500006"),
            ("AR.cuil", "20055361682"),
        ] {
            let id = all().find(|id| id.name == name).unwrap_or_else(|| panic!("no {name}"));
            if !(id.check)(text.as_bytes()) {
                invalid.push(name);
                continue;
            }
            let others = (0..text.len()).filter(|at| text.as_bytes()[*at].is_ascii_digit()).map(|at| {
                let mut other = text.as_bytes().to_vec();
                other[at] = b'0' + (other[at] - b'0' + 1) % 10;
                other
            });
            let (wrong, all) =
                others.fold((0, 0), |(wrong, all), other| (wrong + usize::from(!(id.check)(&other)), all + 1));
            // The year of a birth is in no check where there is none but of the day.
            assert!(wrong * 10 >= all * 8, "{name}: {wrong} of {all}");
        }
        assert_eq!(invalid, Vec::<&str>::new());
    }
}
