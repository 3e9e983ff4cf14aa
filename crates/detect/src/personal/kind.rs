//! The kinds of personal data that are told apart.

/// What a finding is about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalKind {
    /// An address of e-mail.
    Email,
    /// A number of a telephone.
    Phone,
    /// The number of a bank account as ISO 13616 spells it.
    Iban,
    /// The number of a payment card.
    PaymentCard,
    /// Who keeps an account: a BIC, a routing number, a sort code.
    BankId,
    /// The number of a bank account as its country spells it.
    BankAccount,
    /// A number that a country gives a person.
    NationalId,
    /// A number under which taxes are paid.
    TaxId,
    /// The number of a passport, or a line of one that machines read.
    Passport,
    /// The number of a driving licence.
    DrivingLicence,
    /// A number of a patient or of somebody insured.
    HealthId,
    /// An address of the Internet Protocol.
    IpAddress,
    /// An address of a network card.
    MacAddress,
    /// When somebody was born.
    DateOfBirth,
    /// Any other date; by itself it says nothing about a person.
    Date,
    /// Where somebody lives or is written to: street and number.
    PostalAddress,
    /// The number of a town for the post.
    PostalCode,
    /// What a person is called.
    PersonName,
    /// What a company or another body is called.
    Organisation,
    /// A town, region or country.
    Place,
    /// An address of the web.
    Url,
    /// Under which name somebody has an account.
    UserName,
    /// How old somebody is.
    Age,
    /// To which people, country or faith somebody belongs.
    Nationality,
    /// How somebody is addressed, or what they work as.
    Title,
    /// What an operator's own recogniser finds.
    Own,
}

impl PersonalKind {
    /// All of them.
    pub const ALL: [PersonalKind; 26] = [
        PersonalKind::Email,
        PersonalKind::Phone,
        PersonalKind::Iban,
        PersonalKind::PaymentCard,
        PersonalKind::BankId,
        PersonalKind::BankAccount,
        PersonalKind::NationalId,
        PersonalKind::TaxId,
        PersonalKind::Passport,
        PersonalKind::DrivingLicence,
        PersonalKind::HealthId,
        PersonalKind::IpAddress,
        PersonalKind::MacAddress,
        PersonalKind::DateOfBirth,
        PersonalKind::Date,
        PersonalKind::PostalAddress,
        PersonalKind::PostalCode,
        PersonalKind::PersonName,
        PersonalKind::Organisation,
        PersonalKind::Place,
        PersonalKind::Url,
        PersonalKind::UserName,
        PersonalKind::Age,
        PersonalKind::Nationality,
        PersonalKind::Title,
        PersonalKind::Own,
    ];

    /// Its name in configurations and records, which stays as it is.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            PersonalKind::Email => "email",
            PersonalKind::Phone => "phone",
            PersonalKind::Iban => "iban",
            PersonalKind::PaymentCard => "payment_card",
            PersonalKind::BankId => "bank_id",
            PersonalKind::BankAccount => "bank_account",
            PersonalKind::NationalId => "national_id",
            PersonalKind::TaxId => "tax_id",
            PersonalKind::Passport => "passport",
            PersonalKind::DrivingLicence => "driving_licence",
            PersonalKind::HealthId => "health_id",
            PersonalKind::IpAddress => "ip_address",
            PersonalKind::MacAddress => "mac_address",
            PersonalKind::DateOfBirth => "date_of_birth",
            PersonalKind::Date => "date",
            PersonalKind::PostalAddress => "postal_address",
            PersonalKind::PostalCode => "postal_code",
            PersonalKind::PersonName => "person_name",
            PersonalKind::Organisation => "organisation",
            PersonalKind::Place => "place",
            PersonalKind::Url => "url",
            PersonalKind::UserName => "user_name",
            PersonalKind::Age => "age",
            PersonalKind::Nationality => "nationality",
            PersonalKind::Title => "title",
            PersonalKind::Own => "own",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<PersonalKind> {
        PersonalKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it says something about a person even where nothing else does: a town or a date alone does not.
    #[must_use]
    pub const fn by_itself(self) -> bool {
        !matches!(
            self,
            PersonalKind::Date
                | PersonalKind::Place
                | PersonalKind::PostalCode
                | PersonalKind::Organisation
                | PersonalKind::Url
                | PersonalKind::Title
                | PersonalKind::Nationality
                | PersonalKind::Age
        )
    }
}
