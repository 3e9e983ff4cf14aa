//! What is learnt is small, and a card says what it is.

use std::path::Path;

/// No file of the repository with something learnt in it is as large.
const MOST: u64 = 4 << 20;

#[test]
fn each_model_is_small_and_has_a_card() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let models: Vec<_> = files.filter(|file| file.path().extension().is_some_and(|end| end == "bin")).collect();
    assert_eq!(models.len(), 2, "what is looked at is all that there is");
    for model in models {
        let (name, size) = (model.file_name().into_string().unwrap(), model.metadata().unwrap().len());
        assert!(size < MOST, "{name}: {size}");
        let section = card.split("\n## ").find(|section| section.starts_with(&format!("`{name}`"))).unwrap();
        for part in ["**For.**", "**Not for.**", "**Learnt from.**", "**How.**", "**Figures.**", "**Licence.**"] {
            assert!(section.contains(part), "{name}: {part}");
        }
        assert!(section.contains(&format!("{size} bytes")), "{name}: the card is of another file");
    }
}
