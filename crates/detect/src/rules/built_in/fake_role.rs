//! Text that is made to look like another voice in the conversation.

use super::{Likely, Rule, Severity, Theme};

pub(super) const THEME: Theme = Theme {
    name: "fake_role",
    about: "Content that imitates the marks by which a conversation tells apart the system, the user, the \
            assistant and tools.",
    rules: &[
        Rule {
            id: "prompt_injection.chat_template",
            severity: Severity::Critical,
            says: "Holds marks that separate the voices of a conversation with a model.",
            about: "Such marks are put in by the program that runs the model. In content they can only be an \
                    attempt to speak with another voice, or a text about such marks.",
            likely: Likely { tool_description: 90, tool_result: 80, document: 60, user_prompt: 60, argument: 90 },
            patterns: &[
                "<{im_start|im_end|im_sep|eot_id|start_header_id|end_header_id|begin_of_text|end_of_text|endoftext|start_of_turn|end_of_turn|sys|endofprompt|fim_prefix}>",
                "[{inst|sys|system_prompt}]",
                "[{system prompt|system message|system override|system instruction|system instructions|end of system prompt}]",
                "</{system|system_prompt|tool_response|tool_result|tool_output|function_results|function_result|user_query|user_input|user_message|retrieved_context|untrusted_content} ..3 <{system|instructions|instruction|assistant|user|developer|human|system_prompt}>",
            ],
        },
        Rule {
            id: "prompt_injection.system_tag",
            severity: Severity::Medium,
            says: "Holds an element called system, assistant or the like.",
            about: "Prompts use such elements to mark who speaks. XML files of other trades have them too, so this \
                    alone says little.",
            likely: Likely { tool_description: 55, tool_result: 45, document: 30, user_prompt: 15, argument: 60 },
            patterns: &[
                "<{system|system_message|system_instruction|system_instructions|system_note|system_reminder|system reminder|system prompt|developer_message|admin_message|assistant|instructions_for_ai|ai_instructions|important_instructions|secret_instructions}>",
                "[{system|developer|assistant|admin|système|sistema}] ..4 {you|your|user|the user|assistant|must|ignore|new|mode|session|override|access}",
            ],
        },
        Rule {
            id: "prompt_injection.role_label",
            severity: Severity::Medium,
            says: "A line begins as if the system or an administrator spoke to the assistant.",
            about: "A label such as `System:` and then words to the assistant. Logs and reports have such labels \
                    before facts.",
            likely: Likely { tool_description: 50, tool_result: 45, document: 25, user_prompt: 25, argument: 60 },
            patterns: &[
                "^{system|system message|system notice|system override|system update|system alert|system instruction|system note|developer|developer message|admin|administrator|admin note|root|operator}: ..6 {you|your|assistant|ignore|disregard|the user|user has|override|must|do not|instructions|agent}",
                "^{system prompt|system instructions|system override|hidden instructions|instructions to the assistant|instruction to the assistant|note to the model}:",
            ],
        },
        Rule {
            id: "prompt_injection.fake_turns",
            severity: Severity::Medium,
            says: "Plays a turn of the user and one of the assistant.",
            about: "A dialogue in which somebody already agreed makes the model believe it. Transcripts look \
                    alike.",
            likely: Likely { tool_description: 45, tool_result: 20, document: 10, user_prompt: 10, argument: 55 },
            patterns: &[
                "^{human|user}: ..40 ^{assistant|ai|model|bot}:",
                "^{assistant|ai|model}: ..40 ^{human|user}: ..6 {yes|ok|okay|sure|go ahead|confirmed|approve*|do it|agree*}",
            ],
        },
        Rule {
            id: "prompt_injection.tool_call",
            severity: Severity::High,
            says: "Holds a call of a tool as a model would write it.",
            about: "Programs that read calls out of a text may execute one that came from outside. Documentation \
                    of such programs shows calls too.",
            likely: Likely { tool_description: 70, tool_result: 60, document: 35, user_prompt: 25, argument: 75 },
            patterns: &[
                "<{tool_call|tool_calls|function_call|function_calls|tool_use|invoke name|tool_code|use_mcp_tool|call_tool|execute_command}>",
                "{tool_call|tool_calls|function_call|tool_use|tool_uses}: ..8 {arguments|parameters|input|args}",
                "^{action|tool|function call|tool call}: @name ..4 {action input|arguments|parameters|input|args}:",
            ],
        },
    ],
};
