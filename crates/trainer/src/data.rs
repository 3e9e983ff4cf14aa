//! Texts with what they are, from a folder of JSON lines.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bartizan_detect::Kind;
use serde::Deserialize;

/// One text.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) attack: bool,
    pub(crate) kind: Kind,
    /// The file that it is from; what is measured was learnt from other files.
    pub(crate) source: String,
    pub(crate) family: String,
}

#[derive(Deserialize)]
struct Line {
    text: String,
    /// `injection` or `benign`; our own texts say it by their folder.
    label: Option<String>,
    kind: String,
    #[serde(default)]
    family: String,
}

/// The texts of all `*.jsonl` of a folder, in the order of their names. What has no label is what `attack` says.
pub(crate) fn read(folder: &Path, attack: Option<bool>) -> Result<Vec<Row>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let source = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let content = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for (number, line) in content.split('\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let place = || format!("{}:{}", file.display(), number + 1);
            let line: Line = serde_json::from_str(line).with_context(place)?;
            let Some(kind) = Kind::named(&line.kind) else { bail!("{}: unknown kind {}", place(), line.kind) };
            let attack = match (line.label.as_deref(), attack) {
                (Some("injection"), _) | (None, Some(true)) => true,
                (Some("benign"), _) | (None, Some(false)) => false,
                _ => bail!("{}: the label is injection or benign", place()),
            };
            rows.push(Row { text: line.text, attack, kind, source: source.clone(), family: line.family });
        }
    }
    Ok(rows)
}
