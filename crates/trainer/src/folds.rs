//! Trains, and measures on what was kept out: each source and each grammar once.

use std::collections::BTreeMap;

use bartizan_detect::Kind;
use bartizan_detect::classifier::{Classifier, Model, Scratch};

use crate::data::Row;
use crate::learn::{How, Seen, keep_common, learn, weigh};
use crate::mix::{Grammars, generated};
use crate::random::Random;
use crate::report::kind_of_basis;
use crate::{HEADS, head, unscaled};

/// Parts into which sources are dealt.
pub(crate) const FOLDS: usize = 5;
/// Texts that are drawn from a grammar that was kept out.
const DRAWN: usize = 60;

/// Where a measured text is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum From {
    /// The folder: a source that was kept out.
    Source,
    /// Our own corpus, which nothing is learnt from.
    Own,
    /// A grammar that was kept out.
    Grammar,
}

/// A text that was kept out, and what it scored.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) from: From,
    /// Its highest window, of those that were looked at.
    pub(crate) raw: f32,
    /// What single words say of its highest window.
    pub(crate) words: f32,
    /// Its highest window.
    pub(crate) unscanned: f32,
    /// How many windows were looked at, and how many there are.
    pub(crate) looked_at: usize,
    pub(crate) windows: usize,
    pub(crate) raws: Vec<f32>,
}

/// Which fold each source is in: the largest are dealt first, so that folds are about as large as each other.
fn deal<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|name| *sizes.entry(name).or_default() += 1);
    let mut order: Vec<_> = sizes.into_iter().collect();
    order.sort_by_key(|(name, size)| (std::cmp::Reverse(*size), *name));
    let there_and_back = (0..FOLDS).chain((0..FOLDS).rev()).cycle();
    order.into_iter().zip(there_and_back).map(|((name, _), fold)| (name.to_owned(), fold)).collect()
}

/// Trains on all folds but one, for each of them, and scores what was kept out.
pub(crate) fn measure(rows: &[Row], own: &[Row], grammars: &Grammars, each: usize, how: How) -> Vec<Measured> {
    // What is of one maker goes together; only of tools there are two collections that have nothing to do with each other.
    let maker = |source: &str| match source.split_once('_') {
        Some((first, _)) if first != "tools" => first.to_owned(),
        _ => source.to_owned(),
    };
    let makers: Vec<String> = rows.iter().map(|row| maker(&row.source)).collect();
    let folds = deal(makers.iter().map(String::as_str));
    let families = deal(grammars.attack.iter().chain(&grammars.benign).map(|grammar| grammar.family.as_str()));
    let of_fold = |fold: usize| {
        let kept: Vec<&Row> = rows.iter().filter(|row| folds[&maker(&row.source)] != fold).collect();
        let held = |family: &str| families[family] == fold;
        let model = train(&kept, grammars, held, each, how);
        let classifier = Classifier::new(model);
        let out = rows.iter().filter(|row| folds[&maker(&row.source)] == fold);
        let mut measured: Vec<_> = out.map(|row| score(&classifier, row, From::Source)).collect();
        let (attack, benign) = grammars.without(|family| !held(family));
        let drawn = generated(&kept, &attack, &benign, DRAWN, &mut Random::new(77 + fold as u64));
        measured.extend(
            drawn.iter().filter(|row| row.source != "carrier").map(|row| score(&classifier, row, From::Grammar)),
        );
        measured
    };
    let last = || {
        let all: Vec<&Row> = rows.iter().collect();
        let classifier = Classifier::new(train(&all, grammars, |_| false, each, how));
        own.iter().map(|row| score(&classifier, row, From::Own)).collect::<Vec<_>>()
    };
    let of_fold = &of_fold;
    std::thread::scope(|scope| {
        let odd = scope.spawn(move || (0..FOLDS).filter(|fold| fold % 2 == 1).flat_map(of_fold).collect::<Vec<_>>());
        let mut all: Vec<Measured> = (0..FOLDS).filter(|fold| fold % 2 == 0).flat_map(of_fold).collect();
        if let Ok(odd) = odd.join() {
            all.extend(odd);
        }
        all.extend(last());
        all
    })
}

fn score(classifier: &Classifier, row: &Row, from: From) -> Measured {
    let highest = classifier.highest(&row.text, row.kind);
    let raws: Vec<f32> = classifier.windows(&row.text, row.kind).iter().map(|window| window.raw).collect();
    Measured {
        row: row.clone(),
        from,
        raw: highest.raw.max(LOWEST),
        words: highest.words.max(LOWEST),
        unscanned: raws.iter().copied().fold(LOWEST, f32::max),
        looked_at: highest.looked_at,
        windows: highest.windows,
        raws,
    }
}

/// What a text is worth of which no window was looked at.
const LOWEST: f32 = -20.0;

/// Trains each head on `rows` and on what the grammars make that are not `held`.
pub(crate) fn train(rows: &[&Row], grammars: &Grammars, held: impl Fn(&str) -> bool, each: usize, how: How) -> Model {
    let (attack, benign) = grammars.without(held);
    let made = generated(rows, &attack, &benign, each, &mut Random::new(1));
    let mut scratch = Scratch::default();
    let heads = (0..HEADS.len()).map(|index| {
        let of_people = HEADS[index].contains(&Kind::UserPrompt);
        let wanted = |row: &&Row| {
            let own = head(row.kind) == index;
            // Few have written attacks for all kinds of content, and what commands an assistant does so anywhere.
            own || (row.attack && (row.text.len() < 600 || !of_people))
        };
        // What is an attack in content may be what somebody wants.
        let made = made.iter().filter(|row| !of_people || row.kind == Kind::UserPrompt);
        let chosen: Vec<&Row> = rows.iter().copied().chain(made).filter(wanted).collect();
        let mut seen: Vec<Seen> =
            chosen.iter().map(|row| Seen::of(&row.text, row.attack, how.bits, &mut scratch)).collect();
        let sources: Vec<_> = chosen.iter().map(|row| row.source.as_str()).collect();
        keep_common(&mut seen, &sources, how.bits, how.fewest);
        weigh(&mut seen, &chosen.iter().map(|row| row.source.as_str()).collect::<Vec<_>>());
        learn(&seen, how).head()
    });
    let mut model = Model { bits: how.bits, heads: heads.collect(), scales: Kind::ALL.map(unscaled) };
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let basis = kind_of_basis(kind);
        let benign: Vec<&str> =
            rows.iter().filter(|row| row.kind == basis && !row.attack).map(|row| row.text.as_str()).collect();
        model.scales[place].cut = cut(&model, kind, &benign);
    }
    model
}

/// Which share of the windows of benign texts that were learnt from the classifier is asked about. Of others it is two or three
/// times as many.
const ASKED: f64 = 0.08;

/// From which worth of its words on a window is looked at, so that of those of `benign` texts no more are than should be.
fn cut(model: &Model, kind: Kind, benign: &[&str]) -> f32 {
    let (mut low, mut high) = (-10.0, 10.0);
    // A few thousand texts tell it well enough.
    let some: Vec<&str> = benign.iter().step_by(benign.len() / 3000 + 1).copied().collect();
    for _ in 0..10 {
        let middle = f32::midpoint(low, high);
        let mut model = model.clone();
        model.scales.iter_mut().for_each(|scale| scale.cut = middle);
        let classifier = Classifier::new(model);
        let (asked, all) = some.iter().fold((0, 0), |(asked, all), text| {
            let highest = classifier.highest(text, kind);
            (asked + highest.looked_at, all + highest.windows)
        });
        if asked as f64 > ASKED * all as f64 { low = middle } else { high = middle }
    }
    high
}
