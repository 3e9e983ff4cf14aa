//! Orders in force are said to be void.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "override",
    about: "The orders that the assistant has been given are said to be void, replaced or lifted.",
    rules: &[
        Rule {
            id: "prompt_injection.override",
            severity: Severity::High,
            says: "Tells the assistant to ignore the instructions that it has been given.",
            about: "The oldest form of the attack. Articles about security quote it, and people tell each other to ignore \
                    earlier comments or mails, which the rule does not take for it.",
            likely: Likely::unless_user(85, 60),
            patterns: &[
                "!{$drop} ..3 {$earlier} ..2 {$orders|system message|system messages|task|tasks|context|conversation}",
                "!{$drop} ..3 {$orders} ..3 {$earlier|you were given|you have been given|you've been given|you received|that were given|from before}",
                "!{$drop} ..2 {your|the system|the developer|developer} ..2 {$orders}",
                "!{$drop} {everything|all|anything|whatever} ..2 {above|before|you were told|you have been told|you were asked|was said}",
            ],
        },
        Rule {
            id: "prompt_injection.void",
            severity: Severity::High,
            says: "Says that earlier instructions do not apply any more.",
            about: "The same without an order: the rules in force are declared to be void. Contracts and policies say so of \
                    their own earlier editions, but seldom of instructions or prompts.",
            likely: Likely::unless_user(75, 40),
            patterns: &[
                "{$earlier} ..2 {$orders} ..2 {are|is|have been|has been|were} ..2 {void|obsolete|superseded|revoked|cancelled|canceled|lifted|suspended|invalid|replaced|overridden|no longer valid|no longer apply|expired}",
                "{$orders} ..3 {no longer apply|no longer applies|don't apply|do not apply|stopped applying|no longer valid|no longer in force|no longer binding}",
                "{your|these|this} ..2 {$orders} ..1 {override|overrides|supersede|supersedes|replace|replaces} ..3 {$earlier|any other|all other|your|system}",
            ],
        },
    ],
};
