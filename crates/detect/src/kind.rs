//! What a text is to whoever reads it, as that decides what may stand in it.

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A tool, prompt or resource says what it is for.
    ToolDescription,
    /// What a tool gave back.
    ToolResult,
    /// A page, file or mail that somebody reads.
    Document,
    /// What a person wrote to the assistant, who may command it.
    UserPrompt,
    /// What the assistant hands to a tool.
    Argument,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] =
        [Kind::ToolDescription, Kind::ToolResult, Kind::Document, Kind::UserPrompt, Kind::Argument];

    /// Its name in commands and data.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ToolDescription => "tool_description",
            Kind::ToolResult => "tool_result",
            Kind::Document => "document",
            Kind::UserPrompt => "user_prompt",
            Kind::Argument => "argument",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
