//! The order is put together first.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "obfuscation",
    about: "What is to be done is encoded or in parts, and the assistant is to put it together and do it.",
    rules: &[
        Rule {
            id: "prompt_injection.decode_and_do",
            severity: Severity::High,
            says: "Something is to be decoded and obeyed.",
            about: "Who has something decoded to read it says read; who has it obeyed hides an order.",
            likely: Likely { tool_description: 75, tool_result: 75, document: 55, user_prompt: 40, argument: 75 },
            patterns: &[
                "{decode|decrypt|deobfuscate|unscramble|decipher|unpack|reverse|base64|rot13|translate} ..8 {and|then|to} ..1 {follow|execute|run|obey|do what|act on|perform|carry out|comply with|apply|do as}",
                "!{follow|execute|obey|carry out|run} ..3 {decoded|hidden|encoded|encrypted|base64|deciphered|reversed} ..2 {text|message|instruction|instructions|command|string|payload|content|order}",
            ],
        },
        Rule {
            id: "prompt_injection.join_and_do",
            severity: Severity::High,
            says: "Parts are to be joined to an order and obeyed.",
            about: "Nobody writes an order over rows or letters but to have it overlooked.",
            likely: Likely { tool_description: 65, tool_result: 65, document: 45, user_prompt: 25, argument: 65 },
            patterns: &[
                "!{combine|concatenate|join|read|assemble|merge|put together|take|string together} ..8 {letters|rows|words|parts|fragments|lines|fields|pieces|letter|cells|columns|syllables|chunks|variables} ..14 {do it|do that|do what|follow it|follow the|execute|obey|carry out|run it|run the result|as one sentence|as an instruction|as one instruction|as a command|act on}",
                "{carry out|execute|do|follow|run} {a b|first middle last|parts in order|p1 p2|x y|a and b}",
            ],
        },
    ],
};
