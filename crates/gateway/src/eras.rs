//! The eras that a server speaks, as far as that is known of it.

use tokio::sync::OnceCell;

/// Whether a server's eras are bridged, and which they are.
#[derive(Debug, Default)]
pub struct Bridging {
    /// The setting.
    pub on: bool,
    /// Found out by `bridge::era` when it is needed first.
    pub(crate) speaks: OnceCell<EraSupport>,
}

/// The eras that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EraSupport {
    /// Only `initialize`.
    Legacy,
    /// Only the stateless one.
    Modern,
    /// Both.
    Both,
}

impl Bridging {
    /// With this setting, nothing asked yet.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Bridging { on, speaks: OnceCell::new() }
    }
}

impl EraSupport {
    /// Whether it speaks the stateless era.
    pub(crate) fn modern(self) -> bool {
        self != EraSupport::Legacy
    }

    /// Whether it speaks the legacy era.
    pub(crate) fn legacy(self) -> bool {
        self != EraSupport::Modern
    }
}
