//! The texts: attacks in families, and honest texts that look like them.

use bartizan_guard::TextKind;
use serde::Deserialize;

/// A text of the corpus.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its name, which also says its family.
    pub id: String,
    /// What it is an example of.
    pub family: String,
    /// What it is.
    pub kind: TextKind,
    /// The text.
    pub text: String,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    kind: String,
    family: String,
    text: String,
}

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(include_str!(concat!("../../detect/corpus/", $folder, "/", $name, ".jsonl"))),+]
    };
}

const ATTACKS: &[&str] = files!["attack": "access", "addressed", "as_user_wish", "authority", "concealment", "conditional", "destructive", "exfil_link", "exfil_tool", "fake_end", "fake_role", "imperative", "indirect", "judgement", "obfuscated", "override", "parameter", "payment", "persistence", "persona", "phishing", "preference", "pressure", "prompt_leak", "secret_read", "shadowing", "split", "supply_chain"];

const BENIGN: &[&str] = files!["benign": "accessibility-html", "agent-notes", "code", "config-log", "encoded", "fiction-game", "forms-legal-shop", "incident-advisory", "issue-thread", "long-read", "mail-chat", "medical-legal-finance", "pasted-prompt", "policy-web", "prompt-guide", "readme-skill", "runbook", "security-article", "structured-result", "support-faq", "teaching", "tool-catalogue", "tool-imperative", "user-prompt"];

/// All attacks, by family and in order.
#[must_use]
pub fn attacks() -> Vec<Sample> {
    read(ATTACKS)
}

/// All honest texts, by family and in order.
#[must_use]
pub fn benign() -> Vec<Sample> {
    read(BENIGN)
}

/// A row that cannot be read is none: a test holds that there is no such row.
fn read(files: &[&str]) -> Vec<Sample> {
    let rows = files.iter().flat_map(|file| file.lines()).filter_map(|line| serde_json::from_str::<Row>(line).ok());
    let sample = |Row { id, kind, family, text }| Some(Sample { id, family, kind: TextKind::named(&kind)?, text });
    rows.filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_text_of_the_corpus_is_here() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/corpus");
        for (name, held, least) in [("attack", attacks(), 300), ("benign", benign(), 400)] {
            let files = std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path());
            let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "jsonl")).collect();
            let rows: usize = files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum();
            let families: BTreeSet<_> = held.iter().map(|sample| sample.family.clone()).collect();
            let ids: BTreeSet<_> = held.iter().map(|sample| sample.id.clone()).collect();
            assert_eq!((held.len(), ids.len(), families.len()), (rows, rows, files.len()), "{name}");
            assert!(held.len() >= least, "{name}");
        }
        assert!(attacks().iter().map(|sample| &sample.family).collect::<BTreeSet<_>>().len() >= 25);
    }
}
