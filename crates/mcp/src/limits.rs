//! What one message may cost before anybody looks at what it says.

/// The bounds within which a message is scanned; beyond any of them it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole message.
    pub bytes: usize,
    /// How deeply arrays and objects may nest. Later passes recurse, so this also bounds their stack.
    pub depth: usize,
    /// Values and keys in the whole message; each costs 16 bytes of memory.
    pub nodes: usize,
    /// Bytes of a request id, a method, a progress token, or the name of a tool, a prompt or a task.
    pub name_bytes: usize,
    /// Bytes of the URI by which a resource is asked for. What a resource holds is content, however it is written.
    pub uri_bytes: usize,
}

impl Limits {
    /// The depth that no configuration may exceed.
    pub const MAX_DEPTH: usize = 256;
    /// The bound of names unless something else is said.
    pub const NAME_BYTES: usize = 1024;
    /// The bound of URIs unless something else is said.
    pub const URI_BYTES: usize = 16 * 1024;
    /// For what is read again although it was within other bounds before; only the depth stays bounded.
    pub const AGAIN: Limits = Limits {
        bytes: usize::MAX,
        depth: Self::MAX_DEPTH,
        nodes: usize::MAX,
        name_bytes: usize::MAX,
        uri_bytes: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 10 * 1024 * 1024,
            depth: 96,
            nodes: 1_000_000,
            name_bytes: Self::NAME_BYTES,
            uri_bytes: Self::URI_BYTES,
        }
    }
}
