//! The user is not to know.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "concealment",
    about: "What is done, or that it is done, is to be kept from the user.",
    rules: &[Rule {
        id: "prompt_injection.conceal",
        severity: Severity::High,
        says: "Tells the assistant to keep something from its user.",
        about: "Nothing that a tool or document honestly asks for has to be kept from the user. Guides for support staff and \
                surprise parties come near it, but speak of customers and friends.",
        likely: Likely { tool_description: 85, tool_result: 75, document: 60, user_prompt: 0, argument: 60 },
        patterns: &[
            "{$never} ..1 {$tell|let} ..2 {user|users|human}",
            "{$never} ..1 {mention|mentioning|disclose|reveal|reference} ..3 {this|these|that|it} ..6 {user|users|human|answer|reply|response|summary}",
            "{without} ..3 {user|user's|human} ..1 {knowledge|knowing|consent|approval|permission|noticing|confirmation|awareness}",
            "{hide|conceal|keep} ..3 {this|it|these|that} ..3 from ..1 {user|users|human}",
        ],
    }],
};
