//! Names that stand for personal data: made with a key, found again in a text, and told from names that somebody made up.
//!
//! **Threat.** A name that is computed from the data without a key can be computed by anybody who guesses the data. One that is
//! the same everywhere joins what was kept apart. And a name that somebody made up, or brought from elsewhere, must not lead to
//! anything. So there is a key for each tenant and purpose ([`Root::namer`]), and a name carries a check that only its own key makes.
//!
//! What a name stands for is not in it: who has the key makes the same name of the same data and no data of a name. Numbers that
//! have to stay numbers are encrypted instead ([`Preserving`]), and whoever has the key decrypts them; one that stands for another
//! ([`Namer::number`]) has a name of its own, under which it is kept what it stands for.
//!
//! Pure: keys come in as values.

mod code;
mod ff1;
mod find;
mod key;
mod kind;
mod name;
mod number;
mod preserve;
mod stand_in;

pub use find::find;
pub use key::Root;
pub use kind::Kind;
pub use name::{Namer, Token};
pub use number::{Number, digits, written_as};
pub use preserve::{Preserving, Unfit};
