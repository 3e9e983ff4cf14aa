//! What a name stands for, and how names of each kind read.

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An address of e-mail.
    Email,
    /// What a person is called.
    PersonName,
    /// A number of a telephone.
    Phone,
    /// The number of a payment card.
    PaymentCard,
    /// The number of a bank account as ISO 13616 spells it.
    Iban,
    /// The number of a bank account as its country spells it.
    BankAccount,
    /// Who keeps an account: a BIC, a routing number, a sort code.
    BankId,
    /// A number that a country gives a person.
    NationalId,
    /// A number under which taxes are paid.
    TaxId,
    /// The number of a passport.
    Passport,
    /// The number of a driving licence.
    DrivingLicence,
    /// A number of a patient or of somebody insured.
    HealthId,
    /// Where somebody lives or is written to: street and number.
    PostalAddress,
    /// The number of a town for the post.
    PostalCode,
    /// When somebody was born.
    DateOfBirth,
    /// Any other date.
    Date,
    /// An address of the Internet Protocol.
    IpAddress,
    /// An address of a network card.
    MacAddress,
    /// Under which name somebody has an account.
    UserName,
    /// An address of the web.
    Url,
    /// What a company or another body is called.
    Organisation,
    /// A town, region or country.
    Place,
    /// How old somebody is.
    Age,
    /// To which people, country or faith somebody belongs.
    Nationality,
    /// How somebody is addressed, or what they work as.
    Title,
    /// What an operator's own recogniser finds.
    Own,
}

/// How names of a kind read: what stands before the code and what behind it.
pub(crate) struct Form {
    pub(crate) kind: Kind,
    /// What the kind is called.
    pub(crate) name: &'static str,
    /// Ends in an underscore, is found in any letter case, and is no end of another one.
    pub(crate) before: &'static str,
    /// Where it begins with `@`, that may be percent-encoded.
    pub(crate) after: &'static str,
}

/// How names of each kind read. Where two begin alike, the one with something behind the code comes first.
pub(crate) const FORMS: [Form; 26] = [
    // `.invalid` is a domain that nobody ever has (RFC 2606), so no mail to such an address arrives anywhere.
    form(Kind::Email, "email", "person_", "@pseudonym.invalid"),
    form(Kind::PersonName, "person_name", "Person_", ""),
    form(Kind::Phone, "phone", "phone_", ""),
    form(Kind::PaymentCard, "payment_card", "card_", ""),
    form(Kind::Iban, "iban", "iban_", ""),
    form(Kind::BankAccount, "bank_account", "account_", ""),
    form(Kind::BankId, "bank_id", "bank_", ""),
    form(Kind::NationalId, "national_id", "national_id_", ""),
    form(Kind::TaxId, "tax_id", "tax_id_", ""),
    form(Kind::Passport, "passport", "passport_", ""),
    form(Kind::DrivingLicence, "driving_licence", "licence_", ""),
    form(Kind::HealthId, "health_id", "health_id_", ""),
    form(Kind::PostalAddress, "postal_address", "address_", ""),
    form(Kind::PostalCode, "postal_code", "postcode_", ""),
    form(Kind::DateOfBirth, "date_of_birth", "birth_", ""),
    form(Kind::Date, "date", "date_", ""),
    form(Kind::IpAddress, "ip_address", "ip_", ""),
    form(Kind::MacAddress, "mac_address", "mac_", ""),
    form(Kind::UserName, "user_name", "user_", ""),
    form(Kind::Url, "url", "url_", ""),
    form(Kind::Organisation, "organisation", "organisation_", ""),
    form(Kind::Place, "place", "place_", ""),
    form(Kind::Age, "age", "age_", ""),
    form(Kind::Nationality, "nationality", "nationality_", ""),
    form(Kind::Title, "title", "title_", ""),
    form(Kind::Own, "own", "value_", ""),
];

const fn form(kind: Kind, name: &'static str, before: &'static str, after: &'static str) -> Form {
    Form { kind, name, before, after }
}

impl Kind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Kind> {
        FORMS.iter().map(|form| form.kind)
    }

    /// What it is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.form().map_or("", |form| form.name)
    }

    /// The kind that is called so.
    #[must_use]
    pub fn parse(name: &str) -> Option<Kind> {
        FORMS.iter().find(|form| form.name == name).map(|form| form.kind)
    }

    /// There is one for each, which a test holds.
    pub(crate) fn form(self) -> Option<&'static Form> {
        FORMS.iter().find(|form| form.kind == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_form_that_is_told_from_the_others() {
        // The last one: whoever adds a kind behind it, or forgets its line, is told here.
        assert_eq!(Kind::Own as usize + 1, FORMS.len());
        for (at, form) in FORMS.iter().enumerate() {
            assert!(form.kind.form().is_some_and(|of| of.name == form.name), "{}", form.name);
            assert_eq!(Kind::parse(form.kind.as_str()), Some(form.kind));
            assert!(form.before.ends_with('_') && form.before.is_ascii() && form.after.is_ascii());
            for (later, other) in FORMS.iter().enumerate().filter(|(later, _)| *later != at) {
                assert_ne!(form.name, other.name);
                let [one, two] = [form, other].map(|form| form.before.to_ascii_lowercase());
                let same = one == two;
                assert!(!two.ends_with(&one) || same, "{one} is the end of {two}");
                let (first, second) = if at < later { (form, other) } else { (other, form) };
                assert!(!same || (!first.after.is_empty() && second.after.is_empty()), "{one}");
            }
        }
        assert_eq!(Kind::parse("nothing"), None);
    }
}
