//! Learns weights by going through sentences again and again and correcting where the best labels are wrong: an averaged
//! structured perceptron (Collins, 2002).

use bartizan_detect::personal::tagger::{LABELS, Part, Tagger, Weights, best};

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

/// Learns from `samples`.
pub(crate) fn learn(samples: &[Sample], bits: u32, rounds: usize) -> Weights {
    let size = 1 << bits;
    let mut held: Vec<Row> = vec![[0.0; LABELS]; size];
    let mut summed: Vec<Row> = vec![[0.0; LABELS]; size];
    let (mut follows, mut follows_summed) = ([[0.0; LABELS]; LABELS], [[0.0; LABELS]; LABELS]);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut random = Random::new(7);
    let mut step = 1.0_f32;
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let sample = &samples[index];
            let worth: Vec<Row> = (sample.part.features.iter().zip(&sample.part.open))
                .map(|(features, open)| {
                    let mut sums = [0.0; LABELS];
                    if *open {
                        for id in features {
                            for (sum, weight) in sums.iter_mut().zip(&held[*id as usize]) {
                                *sum += weight;
                            }
                        }
                    }
                    sums
                })
                .collect();
            let labels = best(&worth, &sample.part.open, &follows);
            if labels != sample.labels {
                let mut before = (0_usize, 0_usize);
                for (at, (said, right)) in labels.iter().zip(&sample.labels).enumerate() {
                    let (said, right) = (usize::from(*said), usize::from(*right));
                    if said != right {
                        for id in &sample.part.features[at] {
                            let (held, summed) = (&mut held[*id as usize], &mut summed[*id as usize]);
                            held[right] += 1.0;
                            held[said] -= 1.0;
                            summed[right] += step;
                            summed[said] -= step;
                        }
                    }
                    if (before.0, said) != (before.1, right) {
                        follows[before.1][right] += 1.0;
                        follows[before.0][said] -= 1.0;
                        follows_summed[before.1][right] += step;
                        follows_summed[before.0][said] -= step;
                    }
                    before = (said, right);
                }
            }
            step += 1.0;
        }
    }
    let average = |held: &Row, summed: &Row| {
        let mut row = *held;
        row.iter_mut().zip(summed).for_each(|(held, summed)| *held -= summed / step);
        row
    };
    let rows: Vec<Row> = held.iter().zip(&summed).map(|(held, summed)| average(held, summed)).collect();
    let mut averaged = follows;
    for (row, (held, summed)) in averaged.iter_mut().zip(follows.iter().zip(&follows_summed)) {
        *row = average(held, summed);
    }
    kept(bits, &rows, &averaged)
}

/// As they are kept: a byte for each.
fn kept(bits: u32, rows: &[Row], follows: &[Row; LABELS]) -> Weights {
    let mut sizes: Vec<f32> = rows.iter().flatten().map(|weight| weight.abs()).filter(|size| *size > 0.0).collect();
    sizes.sort_by(f32::total_cmp);
    let largest = sizes.get(sizes.len().saturating_sub(1 + sizes.len() / 2000)).copied().unwrap_or(1.0);
    let unit = (largest / 127.0).max(1e-6);
    let byte = |weight: &f32| (weight / unit).round().clamp(-127.0, 127.0) as i8;
    let row = |row: &Row| {
        let mut bytes = [0; LABELS];
        bytes.iter_mut().zip(row).for_each(|(to, weight)| *to = byte(weight));
        bytes
    };
    let mut kept = [[0; LABELS]; LABELS];
    kept.iter_mut().zip(follows).for_each(|(to, from)| *to = row(from));
    Weights { bits, unit, follows: kept, rows: rows.iter().map(row).collect() }
}
