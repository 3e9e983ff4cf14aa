//! What tools do with information, and where the values in a call come from.
//!
//! Pure. [`guess`] says of a tool's definition what its results bring and what its calls do; [`Memory`] keeps, within a bound,
//! what results have brought into a conversation; and [`Memory::trace`] says of each value of a call where it was before.
//! Nothing here decides anything.

mod brought;
mod guess;
mod item;
mod label;
mod leaves;
mod memory;
mod nature;
mod normal;
mod path;
mod role;
mod shingle;
mod talk;
mod traces;
mod values;
mod words;

pub use brought::{Brought, Readings, has_prose};
pub use guess::guess;
pub use item::{Item, item};
pub use label::{ToolLabel, ToolLabels};
pub use leaves::{Leaf, Place, attached, leaves, places, takes_paths};
pub use memory::{Bounds, Key, Memory, Source};
pub use nature::Nature;
pub use path::{FilePath, PathPattern, Within};
pub use role::{Role, is_credential};
pub use talk::is_inside;
pub use traces::{Origin, Overlap, Traced, Traces};
