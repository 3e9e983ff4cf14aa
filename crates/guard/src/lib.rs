//! Decides what happens to one message: a list of guards finds, the operator's settings decide.
//!
//! Pure: no I/O, no clock, no randomness. The same event, session and settings always give the same [`Verdict`].
//! Start at [`Pipeline::judge`]; a control is one file in `guards/`.

mod case;
mod catalog;
mod change;
mod decision;
mod embedded;
mod event;
mod finding;
mod follow;
mod grant;
pub mod guards;
mod history;
mod inspect;
pub mod lately;
pub mod learn;
pub mod mark;
mod named;
mod naming;
mod note;
mod numeral;
mod opinion;
mod pins;
mod pipeline;
mod session;
mod settings;
mod shape;
mod shared;
mod told;

/// By this name the code in `tests/common` knows the crate, which tests inside it use as well.
#[cfg(test)]
extern crate self as bartizan_guard;

pub use bartizan_detect::Kind as TextKind;
pub use bartizan_flow as flow;
pub use bartizan_policy::{
    Approver, Challenge, Kind, Label, Labels, Policies, Principal, Roles, Scope, Scopes, SignedIn, TENANT_OF_ALL,
};
pub use bartizan_pseudonym as pseudonym;
pub use case::{Case, CaseError, Known, Named};
pub use catalog::{Catalog, Definition, DefinitionKind, Listing};
pub use change::Change;
pub use decision::{Decision, Denial, Judged, Verdict};
pub use event::{
    CallSummary, Direction, EVERY_SERVER, Event, Evidence, HandedOut, RateScope, ServerProfile, Timestamp,
};
pub use finding::{Confidence, Finding, Report, Severity, excerpt, plain_uri};
pub use follow::{Follow, News};
pub use grant::{Approval, Ask, Grant};
pub use guards::{Guard, GuardSpec, RuleSpec};
pub use history::{History, Odd, Traits};
pub use inspect::{Inspection, Inspector, Noticed};
pub use naming::{Given, Names, Pseudonym, Revealed, Unclear};
pub use opinion::{Asks, Doubt, Layer, Opinion, Said, Silence, Terms, TextKey};
pub use pins::{Labelled, Pin, Pins};
pub(crate) use pipeline::as_json;
pub use pipeline::{Pipeline, PipelineError};
pub use session::{Fact, Fate, Session};
pub use settings::fits;
pub use settings::{
    Action, Exception, GuardSettings, HashKey, How, Labelling, LabelsOf, Mode, ServerSettings, Settings, Where,
};
pub use told::Told;
