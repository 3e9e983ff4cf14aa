//! Sentences made from templates: `{person}` and the like are filled from the lists of the tagger, and from names put
//! together of parts of others, so that it learns to tell a name that is in no list.

use std::ops::Range;

use bartizan_detect::personal::PersonalKind;
use bartizan_detect::personal::tagger::{KINDS, entries};

use crate::random::Random;

/// A sentence with what stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) spans: Vec<(Range<usize>, u8)>,
}

/// What templates are filled from.
struct Lists {
    given: Vec<&'static str>,
    family: Vec<&'static str>,
    towns: Vec<&'static str>,
    countries: Vec<&'static str>,
    peoples: Vec<&'static str>,
    jobs: Vec<&'static str>,
    companies: Vec<&'static str>,
    forms: Vec<&'static str>,
    bodies: Vec<&'static str>,
}

/// Fills each template so many times.
pub(crate) fn all(templates: &str, each: usize, random: &mut Random) -> Vec<Made> {
    let lists = Lists {
        given: entries("given"),
        family: entries("family"),
        towns: entries("towns"),
        countries: entries("countries"),
        peoples: entries("peoples"),
        jobs: entries("jobs"),
        companies: entries("companies"),
        forms: entries("forms"),
        bodies: entries("bodies"),
    };
    let mut all = Vec::new();
    for template in templates.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let template = template.replace("\\n", "\n");
        let times = if template.contains('{') { each } else { 3 };
        for _ in 0..times {
            all.push(lists.fill(&template, random));
        }
    }
    all
}

/// One of some strings.
fn one<'a>(of: &[&'a str], random: &mut Random) -> &'a str {
    random.pick(of).copied().unwrap_or("")
}

impl Lists {
    fn fill(&self, template: &str, random: &mut Random) -> Made {
        let mut made = Made { text: String::new(), spans: Vec::new() };
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            made.text.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}').map(|end| at + end) else { break };
            let name = &rest[at + 1..end];
            rest = &rest[end + 1..];
            let (kind, value) = self.value(name, random);
            let start = made.text.len();
            made.text.push_str(&value);
            if let Some(label) = kind.and_then(|kind| KINDS.iter().position(|held| *held == Some(kind))) {
                made.spans.push((start..made.text.len(), label as u8));
            }
        }
        made.text.push_str(rest);
        made
    }

    fn value(&self, name: &str, random: &mut Random) -> (Option<PersonalKind>, String) {
        use PersonalKind::*;
        match name {
            "person" => (Some(PersonName), self.person(random)),
            "given" => (Some(PersonName), self.given(random)),
            "family" => (Some(PersonName), self.family(random)),
            "smallperson" => (Some(PersonName), self.person(random).to_lowercase()),
            "town" => (Some(Place), self.town(random)),
            "country" => (Some(Place), one(&self.countries, random).to_owned()),
            "org" => (Some(Organisation), self.body(random)),
            "street" => (Some(PostalAddress), self.street(random)),
            "address" => (Some(PostalAddress), self.address(random)),
            "unit" => (Some(PostalAddress), unit(random)),
            "job" => (Some(Title), one(&self.jobs, random).to_owned()),
            "people" => (Some(Nationality), one(&self.peoples, random).to_owned()),
            "email" => (None, format!("{}@example.org", self.given(random).to_lowercase())),
            _ => filled(name, random),
        }
    }

    /// A name of the list, or one put together of two.
    fn blend(&self, of: &[&str], random: &mut Random) -> String {
        let first = one(of, random);
        if random.below(5) < 3 {
            return first.to_owned();
        }
        let second = one(of, random);
        let (first, second): (Vec<char>, Vec<char>) = (first.chars().collect(), second.chars().collect());
        let blended: String = first[..first.len().div_ceil(2)].iter().chain(&second[second.len() / 2..]).collect();
        blended.trim().to_owned()
    }

    fn given(&self, random: &mut Random) -> String {
        self.blend(&self.given, random)
    }

    fn family(&self, random: &mut Random) -> String {
        match random.below(12) {
            0 => format!("{}-{}", one(&self.family, random), one(&self.family, random)),
            1 => format!(
                "{} {}",
                one(&["van", "von", "de", "da", "del", "El", "Al", "Mac", "van der"], random),
                one(&self.family, random)
            ),
            2 => format!("O'{}", one(&self.family, random)),
            _ => self.blend(&self.family, random),
        }
    }

    fn person(&self, random: &mut Random) -> String {
        let (given, family) = (self.given(random), self.family(random));
        let initial = char::from(b'A' + random.below(26) as u8);
        match random.below(14) {
            0 | 1 => format!("{given} {initial}. {family}"),
            2 => format!("{given} {initial} {family}"),
            3 => format!("{given} {} {family}", self.given(random)),
            4 => format!("{initial}. {family}"),
            5 => given,
            6 => family,
            7 => format!("{given} {family}").to_uppercase(),
            8 => format!("{given} {family} {}", self.family(random)),
            _ => format!("{given} {family}"),
        }
    }

    fn town(&self, random: &mut Random) -> String {
        let town = match random.below(6) {
            0 => format!(
                "{}{}",
                self.blend(&self.family, random),
                one(
                    &[
                        "ville", "ton", "burg", "dorf", "heim", "by", "sta", "stad", "ów", "ice", "ovo", "hagen",
                        "nes", "vík", "járvi", "field", "ford", "borough", "ingen"
                    ],
                    random
                )
            ),
            1 => format!(
                "{} {}",
                one(
                    &[
                        "San", "Santa", "Saint", "New", "Bad", "Villa", "Vila", "Nova", "Stary", "Velká", "Upper",
                        "North", "Castel", "Puerto"
                    ],
                    random
                ),
                self.blend(&self.towns, random)
            ),
            _ => self.blend(&self.towns, random),
        };
        if random.below(7) == 0 { town.to_uppercase() } else { town }
    }

    fn body(&self, random: &mut Random) -> String {
        let family = self.blend(&self.family, random);
        match random.below(10) {
            0 => format!("{family} {}", one(&self.forms, random)),
            1 => format!("{family}-{}", one(&self.family, random)),
            2 => format!("{family}, {} and {}", one(&self.family, random), one(&self.family, random)),
            3 => format!("{family} {} {}", one(&self.bodies, random), one(&self.forms, random)),
            4 => format!("{} {}", self.town(random), one(&self.bodies, random)),
            5 => format!("{family} & {}", one(&["Sons", "Co", "Partners", "Söhne", "Fils", "Figli", "Hijos"], random)),
            6 => self.coined(random),
            7 => format!("{} {}", self.coined(random), one(&self.bodies, random)),
            _ => self.blend(&self.companies, random),
        }
    }

    /// What a company might call itself.
    fn coined(&self, random: &mut Random) -> String {
        let first = one(
            &[
                "Zon", "Open", "Data", "Clear", "Blue", "Net", "Inno", "Legi", "Bio", "Eco", "Smart", "True", "Bright",
                "Cloud", "Quant", "Nova", "Red", "Vert", "Agri", "Med", "Fin", "Geo", "Pro", "Uni", "City", "Home",
                "Walk", "Grad", "Topo", "Loca", "Social", "Health",
            ],
            random,
        );
        let second = one(
            &[
                "ability", "mine", "path", "graphy", "storm", "scan", "score", "coder", "vore", "gate", "lytics",
                "ware", "works", "grid", "flow", "wise", "metrics", "nest", "hub", "spark", "point", "via", "ify",
                "ra", "ex", "ium", "Data", "Labs", "Insights", "Radar",
            ],
            random,
        );
        if random.below(3) == 0 { format!("{first} {}", one(&self.bodies, random)) } else { format!("{first}{second}") }
    }

    fn street(&self, random: &mut Random) -> String {
        let family = self.blend(&self.family, random);
        let most = if random.below(3) == 0 { 9999 } else { 200 };
        let house = (1 + random.below(most)).to_string();
        let name = match random.below(12) {
            0..=2 => format!(
                "{family} {}",
                one(
                    &[
                        "Street",
                        "St",
                        "Road",
                        "Rd",
                        "Avenue",
                        "Ave",
                        "Lane",
                        "Drive",
                        "Court",
                        "Way",
                        "Close",
                        "Boulevard",
                        "Place",
                        "Crescent"
                    ],
                    random
                )
            ),
            3 => format!(
                "{family}{}",
                one(
                    &[
                        "straße", "strasse", "weg", "gasse", "allee", "platz", "ring", "straat", "laan", "gatan",
                        "vägen", "gata", "veien", "vej", "gade", "katu", "tie", "vegur", "holt", "utca", "stræti",
                        "parken"
                    ],
                    random
                )
            ),
            4 => format!(
                "{} {}{}",
                one(&["rue", "Rue", "avenue", "boulevard", "chemin", "place", "quai"], random),
                one(&["de ", "du ", "des ", "de la ", ""], random),
                self.town(random)
            ),
            5 => format!(
                "{} {family}",
                one(&["Calle", "Avenida", "Plaza", "Paseo", "Camino", "Rúa", "Carrer", "C/"], random)
            ),
            6 => format!(
                "{} {} {family}",
                one(&["Via", "Viale", "Corso", "Piazza", "Largo", "Strada"], random),
                self.given(random)
            ),
            7 => format!("{} {family}", one(&["Rua", "Avenida", "Travessa", "Praça", "Alameda"], random)),
            8 => format!("{} {family}", one(&["ul.", "ulica", "al.", "os.", "Aleja", "plac", "nám."], random)),
            9 => format!(
                "{family} {}",
                one(&["utca", "út", "tér", "ulice", "ulica", "cesta", "Caddesi", "Marg", "Sokak"], random)
            ),
            10 => format!(
                "{family} {}",
                one(&["Hill", "Row", "Gardens", "Terrace", "Park", "Square", "Grove", "Mews"], random)
            ),
            _ => self.blend(&self.family, random),
        };
        match random.below(5) {
            0 => format!("{house} {name}"),
            1 => format!("{house} {name} {}", 1 + random.below(150)),
            2 => format!("{name} {house}"),
            3 => format!("{name} {}", 1 + random.below(150)),
            _ => format!("{}, {name}", 1 + random.below(300)),
        }
    }

    /// A whole address, in one line or several.
    fn address(&self, random: &mut Random) -> String {
        let between = one(&[", ", "\n", "\n ", ", ", " "], random);
        let mut parts = vec![self.street(random)];
        if random.below(3) == 0 {
            parts.push(unit(random));
        }
        let zip = (10_000 + random.below(89_999)).to_string();
        let (town, country) = (self.town(random), one(&self.countries, random).to_owned());
        match random.below(6) {
            0 => parts.extend([town, format!("{country} {zip}")]),
            1 => parts.extend([format!("{zip} {town}")]),
            2 => parts.extend([town, country]),
            3 => parts
                .extend([town, format!("{} {zip}", one(&["CA", "NY", "TX", "WA", "MN", "CO", "VIC", "NSW"], random))]),
            4 => parts.extend([format!("{zip} {town}"), country]),
            _ => parts.push(town),
        }
        parts.join(between)
    }
}

/// What has no list.
fn filled(name: &str, random: &mut Random) -> (Option<PersonalKind>, String) {
    use PersonalKind::*;
    let among = |list: &str, random: &mut Random| one(&list.split('|').collect::<Vec<_>>(), random).to_owned();
    let digits = |patterns: &str, random: &mut Random| {
        let pattern = among(patterns, random);
        pattern
            .chars()
            .map(|c| if c == '#' { char::from(b'0' + random.below(10) as u8) } else { c })
            .collect::<String>()
    };
    match name {
        "zip" => (Some(PostalCode), digits(ZIPS, random)),
        "hon" => (Some(Title), among(HONORIFICS, random)),
        "age" => (Some(Age), (1 + random.below(98)).to_string()),
        "year" => (Some(Date), (1930 + random.below(97)).to_string()),
        "day" => (Some(Date), among(DAYS, random)),
        "date" => {
            let (day, month, year) = (1 + random.below(28), among(MONTHS, random), 1940 + random.below(86));
            let first = random.below(2) == 0;
            (Some(Date), if first { format!("{day} {month} {year}") } else { format!("{month} {day}, {year}") })
        }
        "phone" => (None, digits("+44 20 7### ####|(###) ###-####|0### #######|### ### ###|+49 30 ######", random)),
        "id" => (None, digits("A-####|########|##-##-##|INV-####|#.#.#", random)),
        "num" => (None, (1 + random.below(900)).to_string()),
        _ => (None, String::new()),
    }
}

const ZIPS: &str = "#####|#####|####|##-###|### ##|####-###|#####-####|#### AB|SW1A 2AA|K1A 0B1";
const HONORIFICS: &str = "Mr.|Mrs.|Ms.|Miss|Dr.|Mr|Mrs|Dr|Prof.|Sir|Herr|Frau|Mme|M.|Señor|Sra.|Sr.|Signora|Sig.|Dott.|Pan|Pani|Mevrouw|Dhr.";
const DAYS: &str = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Montag|Freitag|lundi|viernes|venerdì|sábado|piątek|vrijdag";
const MONTHS: &str = "January|March|May|July|October|December|Feb|Sept|Juni|März|janvier|août|de mayo|de julio|maggio|ottobre|de março|oktober|maja|grudnia";

fn unit(random: &mut Random) -> String {
    format!(
        "{} {}",
        one(
            &["Apt.", "Suite", "Apt", "Unit", "Flat", "Floor", "Ste.", "Apartment", "Piso", "Bus", "Etage", "m."],
            random
        ),
        1 + random.below(999)
    )
}
