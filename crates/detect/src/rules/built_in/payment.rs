//! Money is to move.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "payment",
    about: "Something is to be paid or ordered, or amounts and recipients are changed.",
    rules: &[
        Rule {
            id: "prompt_injection.pay",
            severity: Severity::Medium,
            says: "Money is to be sent to somebody.",
            about: "Invoices ask people for it, in the same words.",
            likely: Likely { tool_description: 30, tool_result: 45, document: 20, user_prompt: 3, argument: 30 },
            patterns: &[
                "!{pay|transfer|wire|remit|send|move|take} ..6 {money|funds|usd|eur|dollars|euros|pounds|bitcoin|btc|eth|usdt|crypto|payment|balance|savings} ..10 {to|into|from} ..3 {account|iban|wallet|address|card|@email|payee|following|this|savings}",
                "!{approve|release|authorize|authorise|initiate|execute|issue} ..3 {payment|payments|transfer|refund|payout|wire|invoice|withdrawal} ..8 {to|for|of|now|immediately|without}",
            ],
        },
        Rule {
            id: "prompt_injection.changed_account",
            severity: Severity::Medium,
            says: "Bank details are said to have changed.",
            about: "The oldest fraud by mail, now aimed at agents that pay.",
            likely: Likely { tool_description: 40, tool_result: 40, document: 35, user_prompt: 8, argument: 35 },
            patterns: &[
                "{bank|account|payment|iban|banking|wire|beneficiary} ..1 {details|account|number|information|coordinates|data} ..2 {have|has|had} ..1 {changed|been changed|been updated|moved|been replaced}",
                "{use|pay|send} ..4 {new|updated|following|different} ..1 {bank account|account number|iban|bank details|account details|wallet|payee}",
                "!{pay|send|settle} ..3 {this|all|any} ..4 {invoice|invoices|payments|bills} ..3 to ..3 {account|iban|instead|new|the following|wallet}",
            ],
        },
        Rule {
            id: "prompt_injection.buy",
            severity: Severity::Medium,
            says: "Something is to be bought with means of payment that are stored.",
            about: "Content has nothing to buy for its reader.",
            likely: Likely { tool_description: 30, tool_result: 45, document: 15, user_prompt: 3, argument: 30 },
            patterns: &[
                "!{buy|purchase|order|subscribe|book|check out|checkout|pay|renew|reserve} ..14 {saved card|stored card|card on file|user's card|default payment|company card|saved payment|stored payment|default card|one click|user's account}",
            ],
        },
    ],
};
