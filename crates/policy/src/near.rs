//! What somebody probably meant who wrote a word that is not known.

/// The known word that was probably meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let far = (word.chars().count() / 3).clamp(1, 4);
    let distance = |known: &'a str| (strsim::damerau_levenshtein(&word, &known.to_lowercase()), known);
    known.into_iter().map(distance).filter(|(distance, _)| *distance <= far).min().map(|(_, known)| known)
}

/// What to say behind a word that is not known, if there is a near one.
#[must_use]
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}
