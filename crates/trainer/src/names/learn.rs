//! Learns weights by going through sentences again and again, each time making the right labels of one a little likelier: a
//! conditional random field (Lafferty et al., 2001) with AdaGrad (Duchi et al., 2011), a part of the features left out each time.

use bartizan_detect::personal::tagger::{LABELS, Part, ROW, Tagger, Weights};

use crate::made::Made;
use crate::random::Random;

/// A part of a text with the labels that are right.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    part: Part,
    labels: Vec<u8>,
}

/// The parts of a text that the tagger looks at.
pub(crate) fn samples(tagger: &Tagger, made: &Made, bits: u32) -> Vec<Sample> {
    let label = |start: usize, end: usize| {
        made.spans.iter().find(|(span, _)| span.start < end && start < span.end).map_or(0, |(_, label)| *label)
    };
    let parts = tagger.parts(&made.text, bits).into_iter().filter(|part| part.open.contains(&true));
    parts
        .map(|part| {
            let labels = part.words.iter().zip(&part.open);
            let labels = labels.map(|(word, open)| if *open { label(word.start, word.end) } else { 0 }).collect();
            Sample { part, labels }
        })
        .collect()
}

type Row = [f32; LABELS];

/// How learning goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) bits: u32,
    pub(crate) rounds: usize,
    /// How far a correction goes.
    pub(crate) rate: f32,
    /// How strongly weights are drawn towards nothing.
    pub(crate) decay: f32,
    /// Of a hundred features, how many are left out each time, so that none is relied upon alone.
    pub(crate) left_out: usize,
}

struct Learning {
    rows: Vec<Row>,
    /// How much each weight was corrected so far, which makes further corrections smaller.
    slopes: Vec<Row>,
    follows: [Row; LABELS],
    follows_slopes: [Row; LABELS],
    how: How,
}

/// Learns from `samples`.
pub(crate) fn learn(samples: &[Sample], how: How) -> Weights {
    let size = 1 << how.bits;
    let mut learning = Learning {
        rows: vec![[0.0; LABELS]; size],
        slopes: vec![[1e-2; LABELS]; size],
        follows: [[0.0; LABELS]; LABELS],
        follows_slopes: [[1e-2; LABELS]; LABELS],
        how,
    };
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut random = Random::new(7);
    // The mean of what was learnt after each round but the first ones leans less on the sentences that came last.
    let mut sums: Vec<Row> = vec![[0.0; LABELS]; size];
    let mut follows = [[0.0; LABELS]; LABELS];
    for round in 0..how.rounds {
        random.shuffle(&mut order);
        for &index in &order {
            learning.correct(&samples[index], &mut random);
        }
        if round >= how.rounds / 3 {
            let pairs = sums.iter_mut().zip(&learning.rows).chain(follows.iter_mut().zip(&learning.follows));
            pairs.for_each(|(sums, held)| sums.iter_mut().zip(held).for_each(|(sum, held)| *sum += held));
        }
    }
    let share = 1.0 / (how.rounds - how.rounds / 3) as f32;
    sums.iter_mut().chain(&mut follows).flatten().for_each(|sum| *sum *= share);
    kept(how.bits, &sums, &follows)
}

fn log_sum(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let most = values.clone().fold(f32::NEG_INFINITY, f32::max);
    if most.is_finite() { most + values.map(|value| (value - most).exp()).sum::<f32>().ln() } else { most }
}

impl Learning {
    /// Moves the weights so that the right labels of one part become likelier.
    fn correct(&mut self, sample: &Sample, random: &mut Random) {
        let part = &sample.part;
        let kept: Vec<Vec<u32>> = (part.features.iter().zip(&part.open))
            .map(|(features, open)| {
                let features = features.iter().filter(|_| *open && random.below(100) >= self.how.left_out);
                features.copied().collect()
            })
            .collect();
        let worth: Vec<Row> =
            (kept.iter().zip(&part.open)).map(|(features, open)| self.worth(features, *open)).collect();
        let count = worth.len();
        // What leads to each label, and what follows from it (forward and backward).
        let mut to: Vec<Row> = Vec::with_capacity(count);
        for (at, worth) in worth.iter().enumerate() {
            let mut row = *worth;
            for (label, value) in row.iter_mut().enumerate() {
                *value += match at.checked_sub(1) {
                    None => self.follows[0][label],
                    Some(before) => log_sum((0..LABELS).map(|held| to[before][held] + self.follows[held][label])),
                };
            }
            to.push(row);
        }
        let mut from: Vec<Row> = vec![[0.0; LABELS]; count];
        for at in (0..count.saturating_sub(1)).rev() {
            for label in 0..LABELS {
                from[at][label] = log_sum(
                    (0..LABELS).map(|next| self.follows[label][next] + worth[at + 1][next] + from[at + 1][next]),
                );
            }
        }
        let Some(last) = to.last() else { return };
        let all = log_sum(last.iter().copied());
        let mut steps = [[0.0; LABELS]; LABELS];
        for at in 0..count {
            let right = usize::from(sample.labels[at]);
            let mut error = [0.0; LABELS];
            for (label, error) in error.iter_mut().enumerate() {
                *error = (to[at][label] + from[at][label] - all).exp() - f32::from(u8::from(label == right));
            }
            if part.open[at] && error.iter().any(|error| error.abs() > 1e-3) {
                for id in &kept[at] {
                    self.step(*id as usize, &error);
                }
            }
            let before = at.checked_sub(1);
            let held_right = before.map_or(0, |before| usize::from(sample.labels[before]));
            for (held, row) in steps.iter_mut().enumerate() {
                for (label, step) in row.iter_mut().enumerate() {
                    let likely = match before {
                        Some(before) => {
                            to[before][held] + self.follows[held][label] + worth[at][label] + from[at][label] - all
                        }
                        None if held == 0 => to[at][label] + from[at][label] - all,
                        None => f32::NEG_INFINITY,
                    };
                    *step += likely.exp() - f32::from(u8::from(held == held_right && label == right));
                }
            }
        }
        for (held, row) in steps.iter().enumerate() {
            for (label, step) in row.iter().enumerate() {
                let slope = &mut self.follows_slopes[held][label];
                *slope += step * step;
                self.follows[held][label] -= self.how.rate * step / slope.sqrt();
            }
        }
    }

    fn worth(&self, features: &[u32], open: bool) -> Row {
        if !open {
            let mut only = [-1e4; LABELS];
            only[0] = 0.0;
            return only;
        }
        let mut sums = [0.0; LABELS];
        // As many as there are when none is left out.
        let scale = 100.0 / (100 - self.how.left_out) as f32;
        for id in features {
            sums.iter_mut().zip(&self.rows[*id as usize]).for_each(|(sum, weight)| *sum += weight * scale);
        }
        sums
    }

    fn step(&mut self, id: usize, error: &Row) {
        let (row, slopes) = (&mut self.rows[id], &mut self.slopes[id]);
        for ((held, slope), error) in row.iter_mut().zip(slopes).zip(error) {
            let step = error + self.how.decay * *held;
            *slope += step * step;
            *held -= self.how.rate * step / slope.sqrt();
        }
    }
}

/// As they are kept: a byte for each.
fn kept(bits: u32, rows: &[Row], follows: &[Row; LABELS]) -> Weights {
    let mut sizes: Vec<f32> = rows.iter().flatten().map(|weight| weight.abs()).filter(|size| *size > 0.0).collect();
    sizes.sort_by(f32::total_cmp);
    let largest = sizes.get(sizes.len().saturating_sub(1 + sizes.len() / 2000)).copied().unwrap_or(1.0);
    let unit = (largest / 127.0).max(1e-6);
    let byte = |weight: &f32| (weight / unit).round().clamp(-127.0, 127.0) as i8;
    let padded = |row: &Row| {
        let mut bytes = [0; ROW];
        bytes.iter_mut().zip(row).for_each(|(to, weight)| *to = byte(weight));
        bytes
    };
    let follows = follows.map(|row| row.map(|weight| byte(&weight)));
    Weights { bits, unit, follows, rows: rows.iter().map(padded).collect() }
}
