//! Who is meant: by name, by a token, by what a token stands for, or by a number that stands for one of theirs.

use std::sync::Arc;

use bartizan_detect::personal::PersonalKind;
use bartizan_guard::Names;
use bartizan_guard::guards::personal_data::form;
use bartizan_pseudonym::{self as pseudonym, Kind, Namer, Root, Token};
use bartizan_store::Store;
use bartizan_store::pseudonyms::{Scope, Subject};

use crate::outcome::Failure;
use crate::stored::{change, failure, now};
use crate::text::inline;

/// Somebody of a tenant.
pub(super) struct Whom {
    pub(super) tenant: String,
    pub(super) subject: Subject,
}

/// Whose data is looked through: that of all, unless somebody is named.
pub(super) async fn tenants(store: &Store, wanted: Option<&str>) -> Result<Vec<String>, Failure> {
    let all = store.tenants().await.map_err(failure)?;
    match wanted {
        None => Ok(all),
        Some(wanted) if all.iter().any(|tenant| tenant == wanted) => Ok(vec![wanted.to_owned()]),
        Some(wanted) => {
            let there = if all.is_empty() { "nobody".to_owned() } else { inline(&all.join(", ")) };
            Err(Failure::usage(format!("nothing was ever kept for a tenant `{}`; it was for {there}", inline(wanted))))
        }
    }
}

/// The one who is called so, or whose token that is.
pub(super) async fn one(store: &Store, tenants: Vec<String>, text: &str, now: i64) -> Result<Whom, Failure> {
    let mut found = Vec::new();
    for tenant in &tenants {
        if let Some(subject) = store.subject_find(tenant, text, now).await.map_err(failure)? {
            found.push(Whom { tenant: tenant.clone(), subject });
        }
    }
    if let (true, Some(id)) = (found.is_empty(), token_id(text)) {
        for tenant in &tenants {
            for name in store.subjects_of_token(tenant, &id, now).await.map_err(failure)? {
                let subject = store.subject_find(tenant, &name, now).await.map_err(failure)?;
                found.extend(subject.map(|subject| Whom { tenant: tenant.clone(), subject }));
            }
        }
    }
    match found.pop() {
        Some(whom) if found.is_empty() => Ok(whom),
        Some(last) => {
            found.push(last);
            Err(several(text, &found))
        }
        None => Err(nobody(text)),
    }
}

/// All of whom a token stands for that value, of whatever purpose.
pub(super) async fn by_value(
    store: &Store,
    tenants: Vec<String>,
    value: &str,
    kind: Option<&str>,
) -> Result<Vec<Whom>, Failure> {
    let mut all = Vec::new();
    for tenant in tenants {
        let change = change(now());
        let purposes = store.purposes(&tenant, change.at).await.map_err(failure)?;
        if purposes.is_empty() {
            continue;
        }
        let root = Root::new(&*store.naming_key(&tenant, &change).await.map_err(failure)?);
        let mut names: Vec<String> = Vec::new();
        for purpose in &purposes {
            let namer = root.namer(&tenant, purpose);
            let mut tokens = tokens(&namer, value, kind);
            tokens.extend(numbers(namer, value, kind));
            let ids: Vec<_> = tokens.iter().map(Token::id).collect();
            let scope = Scope { tenant: &tenant, purpose };
            let found = store.look_up(scope, &ids, &change).await.map_err(failure)?;
            names.extend(found.into_iter().map(|pseudonym| pseudonym.subject));
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            let subject = store.subject_find(&tenant, &name, change.at).await.map_err(failure)?;
            all.extend(subject.map(|subject| Whom { tenant: tenant.clone(), subject }));
        }
    }
    Ok(all)
}

/// The names that a value may have, as each kind that it may be of.
fn tokens(namer: &Namer, value: &str, wanted: Option<&str>) -> Vec<Token> {
    let kinds = PersonalKind::ALL.into_iter().filter(|kind| wanted.is_none_or(|wanted| wanted == kind.as_str()));
    let named = kinds.filter_map(|kind| {
        let form = form(kind, value);
        // Of an address no number is left, which is none then.
        Kind::parse(kind.as_str()).filter(|_| !form.is_empty()).map(|kind| namer.name(kind, &form))
    });
    named.collect()
}

/// Under which names it is kept what a number stands for that was handed out in the place of another one, as each kind that it may be of.
fn numbers(namer: Namer, value: &str, wanted: Option<&str>) -> Vec<Token> {
    // None with fewer digits stands for another.
    if pseudonym::digits(value).len() < 6 {
        return Vec::new();
    }
    let kinds = Kind::all().filter(|kind| kind.has_numbers() && wanted.is_none_or(|wanted| wanted == kind.as_str()));
    Names::new(Arc::new(namer)).kept_under(value, kinds).collect()
}

/// The id of the one token that is in a text, or that the text is.
fn token_id(text: &str) -> Option<String> {
    let mut ids: Vec<_> = pseudonym::find(text).into_iter().map(|(_, token)| token.id().to_owned()).collect();
    ids.extend(Token::of(Kind::Own, text.trim()).map(|token| token.id().to_owned()));
    ids.dedup();
    ids.pop().filter(|_| ids.is_empty())
}

fn several(text: &str, found: &[Whom]) -> Failure {
    let each: Vec<_> = found.iter().map(|whom| format!("`{}` of {}", whom.subject.id, whom.tenant)).collect();
    let (text, each) = (inline(text), inline(&each.join(", ")));
    Failure::usage(format!(
        "`{text}` is more than one: {each}; say whose data it is with --tenant, or name one of them"
    ))
}

fn nobody(text: &str) -> Failure {
    // What reads like an address is not repeated: it is in the history of a shell as it is.
    if text.contains('@') && token_id(text).is_none() {
        return Failure::usage(
            "nobody is called so, and an address is no argument, which other users see and shells keep; give it on standard \
             input: bartizan subject show --value-from-stdin",
        );
    }
    let text = inline(text);
    Failure::usage(format!(
        "there is no subject or token `{text}`: it never was, has expired or was erased; `bartizan subject list` shows who there is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_however_it_is_given() {
        let id = "xrvjxaftcf9j1akq4pag";
        for (text, expected) in [
            ("person_xrvjxaftcf9j1akq4pag@pseudonym.invalid", Some(id)),
            ("PERSON_XRVJXAFTCF9J1AKQ4PAG@pseudonym.invalid", Some(id)),
            ("mailto:person_xrvjxaftcf9j1akq4pag%40pseudonym.invalid", Some(id)),
            ("Person_xrvjxaftcf9j1akq4pag", Some(id)),
            (id, Some(id)),
            (" XRVJXAFTCF9J1AKQ4PAG\n", Some(id)),
            ("phone_xrvjxaftcf9j1akq4pag, phone_xrvjxaftcf9j1akq4pag", Some(id)),
            ("phone_xrvjxaftcf9j1akq4pag, phone_00000000000000000000", None),
            ("xrvjxaftcf9j1akq4pa", None),
            ("ann@example.com", None),
            ("", None),
        ] {
            assert_eq!(token_id(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_number_that_was_handed_out_leads_to_whom_it_was_handed_out_for() {
        let namer = || Root::new(&[7; 32]).namer("acme", "support");
        for (kind, value, written) in [
            (Kind::PaymentCard, "4111111111111111", "4111 1111 1111 1111"),
            (Kind::Phone, "+4930901820", "+49 30 901820"),
            (Kind::BankAccount, "123456789012", "123456789012"),
        ] {
            let number = namer().number(kind, value).unwrap();
            let said = number.written_as(written).unwrap();
            for wanted in [None, Some(kind.as_str())] {
                assert!(numbers(namer(), &said, wanted).contains(&number.token()), "{said}");
                assert!(!numbers(namer(), written, wanted).contains(&number.token()), "{said}");
            }
        }
        assert!(numbers(namer(), "ann@example.com", None).is_empty());
    }

    #[test]
    fn every_kind_that_is_found_has_names_and_other_spellings_have_the_same() {
        for kind in PersonalKind::ALL {
            assert!(Kind::parse(kind.as_str()).is_some(), "{}", kind.as_str());
        }
        let namer = Root::new(&[7; 32]).namer("acme", "support");
        let names = |value, kind| tokens(&namer, value, kind);
        for (value, other, kind) in [
            ("ann@example.com", "Ann@Example.COM", "email"),
            ("+49 30 1234567", "0049 (30) 123-4567", "phone"),
            ("DE89 3704 0044 0532 0130 00", "de89370400440532013000", "iban"),
        ] {
            let one = names(value, Some(kind));
            assert_eq!(one.len(), 1, "{value}");
            assert_eq!(one, names(other, Some(kind)), "{value}");
            assert!(names(other, None).contains(&one[0]), "{value}");
        }
        assert_ne!(names("ann@example.com", Some("email")), names("bob@example.com", Some("email")));
        // Words have a name by their very letters, whatever stands between them.
        let name = |value| tokens(&namer, value, Some("person_name"));
        assert_eq!(name("Ann  Secretive"), name("Ann\nSecretive"));
        assert_ne!(name("Ann Secretive"), name("ann secretive"));
        // There is no digit in it, so it is no card.
        assert!(names("ann@example.com", Some("payment_card")).is_empty());
    }
}
