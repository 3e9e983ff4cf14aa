//! Shows a gateway at work: a real one, between a real client, an honest server and a hostile one.
//!
//! [`Demo::start`] starts the gateway as `bartizan serve` would, on a loopback port and with its state in a directory
//! that goes away again. [`Demo::play`] connects to it like any client and tries each [step](Step): what the honest
//! server does has to pass, what the hostile one tries must not. A step says what came through the gateway and what
//! its log says about that, and never what it should have been. The two servers are [`Role`]s of this very program,
//! which the gateway starts as child processes, as it would any other.

mod client;
mod gateway;
mod play;
mod servers;
mod step;
mod witness;

pub use client::{Client, ClientError, Hello};
pub use gateway::{Demo, PlayError, StartError};
pub use servers::{Role, serve};
pub use step::{Seen, Step, Stop};
