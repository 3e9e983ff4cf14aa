//! Names in records, by what their fields are called: nothing in `{"assignee": "Mara Lindqvist"}` tells a name but the field.
//!
//! A field such as `assignee` or `fullName` says it by itself; `name` is that of a file, a product or a country as well, so it counts
//! only in a record that is about a person by where it stands or by what else it says. In any case the value has to read like a name, and none
//! of its words may be one of companies, offices and things.

use bartizan_mcp::{NodeKind, Value};

use super::words;

/// How sure it is, in thousandths.
const PART: u16 = 800;
const WHOLE: u16 = 750;
const BARE: u16 = 650;

/// No name is longer, in bytes.
const LONGEST: usize = 60;
/// Nor has more words.
const MOST_WORDS: usize = 5;

/// Who somebody is to somebody else.
const PERSONS: &[&str] = &[
    "account manager", "applicant", "approver", "assignee", "attendee", "attn", "author", "beneficiary", "borrower", "buyer",
    "candidate", "cardholder", "caller", "carer", "client contact", "coach", "colleague", "contact", "creator", "customer", "debtor",
    "doctor", "donor", "driver", "editor", "employee", "emergency contact", "guardian", "guest", "holder", "insured", "interviewer",
    "invitee", "landlord", "lead", "learner", "manager", "member", "mentor", "nurse", "organizer", "organiser", "owner",
    "participant", "passenger", "patient", "payee", "payer", "person", "physician", "presenter", "recipient", "reporter", "requester",
    "requestor", "resident", "reviewer", "seller", "sender", "signatory", "signer", "speaker", "spouse", "student", "subscriber",
    "supervisor", "teacher", "technician", "therapist", "traveler", "traveller", "tutor", "user", "visitor", "volunteer", "witness",
    "assigned to", "reports to", "next of kin", "contact person", "ansprechpartner", "bearbeiter", "kunde", "mitarbeiter", "patientin",
    "cliente", "empleado", "paciente", "contacto", "auteur", "salari\u{e9}", "medewerker", "klant",
];

/// What somebody did, with *by* behind it.
const DONE: &[&str] = &[
    "created", "updated", "modified", "requested", "reported", "assigned", "approved", "submitted", "uploaded", "signed", "reviewed", "written",
    "edited", "resolved", "closed", "opened", "owned", "handled", "booked", "ordered", "sold", "invited", "referred", "prepared", "checked",
    "changed", "added", "posted", "sent", "deleted", "completed", "verified", "accepted", "taught", "published",
];

/// A part of a name, wherever the record is.
const PARTS: &[&str] = &[
    "first name", "firstname", "given name", "givenname", "forename", "middle name", "middlename", "last name", "lastname", "surname",
    "family name", "familyname", "maiden name", "nickname", "preferred name", "vorname", "nachname", "familienname", "geburtsname",
    "pr\u{e9}nom", "prenom", "nom de famille", "apellido", "apellidos", "cognome", "sobrenome", "voornaam", "achternaam", "nazwisko",
    "fname", "lname",
];

/// A whole name, wherever the record is.
const WHOLES: &[&str] = &[
    "full name", "fullname", "legal name of person", "name on card", "account holder", "card holder", "ship to name", "bill to name",
    "nombre completo", "nome completo", "nom complet", "vollst\u{e4}ndiger name",
];

/// What a record says of a person besides the name.
const OF_PERSONS: &[&str] = &[
    "email", "e mail", "mail", "email address", "phone", "phone number", "mobile", "cell", "telephone", "birthday", "birthdate", "birth date",
    "date of birth", "dob", "born", "age", "gender", "sex", "salutation", "nationality", "job title", "job", "occupation", "employer", "ssn",
    "passport", "passport number", "login", "username", "user name", "marital status", "hire date", "hired", "salary", "patient id",
    "employee id", "user id", "member id", "manager", "company", "department", "role", "seat", "allergies", "diagnosis", "pronouns",
    "geburtsdatum", "telefon", "grade", "blood type",
];

/// What a record says of a thing, a place or a company besides the name.
const OF_THINGS: &[&str] = &[
    "path", "size", "version", "sha", "branch", "default branch", "mime type", "mimetype", "license", "price", "sku", "stock", "quantity", "iso",
    "iso2", "iso3", "iso code", "capital", "population", "currency", "extension", "checksum", "repository", "repo", "package",
    "dependencies", "columns", "schema", "file name", "filename", "bytes", "latitude", "longitude", "lat", "lon", "category", "brand",
    "model", "weight", "color", "colour", "stars", "forks", "homepage", "industry", "employees", "founded", "vat", "vat id", "domain",
    "registration number", "members", "permissions", "capacity", "floor", "isbn", "genre", "species", "elevation", "tracks", "cuisine",
];

/// Words of companies, offices, groups and things, of which none is in a name of a person.
const NO_NAMES: &[&str] = &[
    "inc", "ltd", "llc", "gmbh", "ag", "corp", "corporation", "company", "co", "plc", "sarl", "srl", "spa", "bv", "nv", "oy", "kg", "group",
    "holding", "holdings", "partners", "bank", "hotel", "university", "school", "college", "institute", "hospital", "clinic", "museum",
    "church", "foundation", "association", "agency", "ministry", "department", "dept", "office", "team", "support", "service",
    "services", "sales", "marketing", "engineering", "finance", "desk", "help", "customer", "customers", "client", "account", "accounts",
    "admin", "administrator", "administrators", "system", "bot", "user", "users", "guest", "unknown", "none", "anonymous", "unassigned",
    "everyone", "all", "the", "and", "of", "for", "project", "product", "store", "shop", "market", "labs", "lab", "studio", "studios",
    "software", "systems", "solutions", "technologies", "technology", "tech", "digital", "media", "data", "cloud", "networks", "network",
    "consulting", "logistics", "industries", "international", "global", "north", "south", "east", "west", "new", "united", "street", "road",
    "city", "county", "state", "island", "islands", "republic", "kingdom", "main", "default", "standard", "premium", "basic", "test", "demo",
    "sample", "example", "report", "plan", "order", "invoice", "meeting", "file", "folder", "document", "release", "version", "general",
    "public", "private", "read", "only", "write", "monthly", "weekly", "annual", "tools", "works", "energy", "power", "motors", "airlines", "foods",
    "insurance", "capital", "ventures", "trust", "union", "club", "society", "committee", "council", "board", "house", "room",
    "building", "server", "database", "api", "app", "web", "mobile", "on", "call", "level", "human", "resources", "operations", "security", "maintainers",
    "authors", "contributors", "developers", "core", "open", "source", "not", "yet", "no", "owner", "mailing", "list", "center", "centre",
    "restaurant", "cafe", "kitchen", "garden", "park", "station", "airport", "production", "staging", "platform", "backend", "frontend",
];

/// Small words within names.
const PARTICLES: &[&str] = &[
    "van", "von", "de", "der", "den", "di", "da", "do", "dos", "das", "del", "della", "la", "le", "bin", "ibn", "al", "el", "ter", "ten", "zu",
    "y", "e", "af", "av",
];

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Person,
    Thing,
    Anything,
}

/// The texts of a value that are names of people by what their fields are called, and how sure that is.
pub(super) fn names(root: Value<'_>) -> Vec<(Value<'_>, u16)> {
    let mut found = Vec::new();
    let mut left = vec![(root, String::new(), Record::Anything)];
    while let Some((value, field, record)) = left.pop() {
        match value.kind() {
            NodeKind::Object => {
                let members: Vec<_> = value.members().map(|(key, value)| (said(&key.text()), value)).collect();
                let record = Record::of(&field, members.iter().map(|(key, _)| key.as_str()));
                left.extend(members.into_iter().map(|(key, value)| (value, key, record)));
            }
            NodeKind::Array => left.extend(value.elements().map(|value| (value, one_of(&field), record))),
            NodeKind::String if !field.is_empty() && value.raw().len() <= 2 * LONGEST => {
                found.extend(sure(&field, record, value.text().trim()).map(|confidence| (value, confidence)));
            }
            _ => {}
        }
    }
    found
}

/// The words of a key.
fn said(key: &str) -> String {
    words(key).trim_end_matches([':', ' ']).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What each of several is called.
fn one_of(many: &str) -> String {
    many.strip_suffix('s').filter(|one| !one.ends_with('s')).unwrap_or(many).to_owned()
}

/// Whether a field says who somebody is: `customer`, `billing contact`, `created by`.
fn is_person(field: &str) -> bool {
    let is_one = |person: &&str| field.strip_suffix(*person).is_some_and(|rest| rest.is_empty() || rest.ends_with(' '));
    let done = field.strip_suffix(" by").map(|done| done.rsplit(' ').next().unwrap_or_default());
    done.is_some_and(|done| DONE.contains(&done)) || PERSONS.iter().any(is_one)
}

impl Record {
    fn of<'k>(field: &str, keys: impl Iterator<Item = &'k str>) -> Record {
        let (mut persons, mut things) = (is_person(field), false);
        let is_named = persons;
        for key in keys {
            persons |= OF_PERSONS.contains(&key) || PARTS.contains(&key);
            things |= OF_THINGS.contains(&key);
        }
        match (is_named, things, persons) {
            (true, ..) => Record::Person,
            (_, true, _) => Record::Thing,
            (.., true) => Record::Person,
            _ => Record::Anything,
        }
    }
}

/// How sure it is that a field holds a name.
fn sure(field: &str, record: Record, text: &str) -> Option<u16> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    if PARTS.contains(&field) {
        return (record != Record::Thing && is_part(text)).then_some(PART);
    }
    let whose = field.strip_suffix(" name").filter(|whose| is_person(whose) && *whose != "user");
    if whose.is_some() || WHOLES.contains(&field) || field.ends_with(" full name") || is_person(field) {
        return is_name(text).then_some(WHOLE);
    }
    let is_bare = matches!(field, "name" | "display name" | "displayname");
    (is_bare && record == Record::Person && is_name(text)).then_some(BARE)
}

/// Whether that may be a part of a name: letters, and in few words.
fn is_part(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() || is_mark(c) || " .-'\u{2019}".contains(c);
    text.chars().filter(|c| c.is_alphabetic()).count() >= 2
        && text.chars().all(is_letter)
        && text.split_whitespace().count() <= 3
        && !text.split_whitespace().any(is_no_name)
}

/// Whether that reads like a whole name: words that begin with capitals, or letters of a script that has none.
fn is_name(text: &str) -> bool {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    if words.len() > MOST_WORDS || words.iter().any(|word| is_no_name(word)) {
        return false;
    }
    let has_no_case = |c: char| c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase();
    if words.iter().all(|word| word.chars().all(|c| has_no_case(c) || is_mark(c) || c == '\u{30FB}')) {
        return (2..=20).contains(&text.chars().count());
    }
    let whole = words.iter().filter(|word| is_word(word)).count();
    let is_rest = |word: &str| !is_word(word) && !PARTICLES.contains(&word.to_lowercase().as_str()) && !is_initial(word);
    whole >= 1 && words.len() >= 2 && !words.iter().any(|word| is_rest(word))
        // `A. B.` and `Anna van` are none.
        && whole + words.iter().filter(|word| is_initial(word)).count() >= 2
}

/// A word of a name, such as *Jean-Luc*, *O'Brien*, *McKay* and *BERGER*.
fn is_word(word: &str) -> bool {
    let mut letters = word.chars();
    let begins = letters.next().is_some_and(char::is_uppercase);
    let rest = letters.as_str();
    begins && !rest.is_empty() && rest.chars().all(|c| c.is_alphabetic() || is_mark(c) || "-'\u{2019}".contains(c))
}

/// `B.`, `Dr.` and the like.
fn is_initial(word: &str) -> bool {
    let letters = word.strip_suffix('.').unwrap_or(word);
    let is_short = (1..=4).contains(&letters.chars().count()) && (letters.len() < word.len() || letters.chars().count() == 1);
    is_short && letters.chars().all(char::is_alphabetic) && letters.starts_with(char::is_uppercase)
}

fn is_no_name(word: &str) -> bool {
    NO_NAMES.contains(&word.trim_matches(['.', ',']).to_lowercase().as_str())
}

/// A sign over or under a letter of its own.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{900}'..='\u{DFF}' | '\u{E31}' | '\u{E34}'..='\u{E4E}')
}
