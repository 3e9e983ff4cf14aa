//! Something is to be destroyed.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "destructive",
    about: "Files, data, messages or history are to be deleted or overwritten.",
    rules: &[
        Rule {
            id: "prompt_injection.delete_all",
            severity: Severity::Medium,
            says: "Everything of a kind is to be deleted.",
            about: "Manuals say so too, to people who know what they do.",
            likely: Likely { tool_description: 15, tool_result: 40, document: 12, user_prompt: 3, argument: 40 },
            patterns: &[
                "!{delete|remove|erase|wipe|destroy|purge|trash|overwrite|shred} ..2 {all|every|everything|entire|whole|complete} ..4 {files|file|data|database|databases|tables|records|emails|messages|inbox|repository|repositories|branches|folders|folder|directory|disk|drive|backups|documents|history|accounts|users|events|home|notes|photos|archive|drafts|contacts|calendar}",
                "!{wipe|reformat|format the} ..2 {disk|drive|hard drive|volume|partition|machine|laptop|phone|server}",
                "!{empty|clear} {the|your|their|all|inbox} ..1 {inbox|mailbox|calendar|home directory|archive|database}",
            ],
        },
        Rule {
            id: "prompt_injection.shell_wipe",
            severity: Severity::High,
            says: "A command that destroys.",
            about: "Common in scripts and manuals; as an argument it is about to be run.",
            likely: Likely { tool_description: 35, tool_result: 30, document: 10, user_prompt: 5, argument: 60 },
            patterns: &[
                "rm {rf|fr} ..2 {home|etc|var|usr|root|boot|.ssh|.git|users|no preserve root}",
                "{mkfs|wipefs|diskpart} ..4 {dev|sda|clean|all|ext4}",
                "dd if ..4 of dev",
                "drop {table|database|schema}",
                "{truncate table|delete from} ..4 {1 1|where 1|where true}",
                "git push ..4 {force|mirror}",
                "vssadmin delete shadows",
            ],
        },
    ],
};
