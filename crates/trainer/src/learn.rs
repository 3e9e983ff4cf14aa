//! Learns weights by going through texts again and again, correcting a little each time (logistic regression with AdaGrad,
//! Duchi et al. 2011), over windows of which only the highest of a text has to speak like an attack (multiple-instance
//! learning).

use std::collections::BTreeMap;

use bartizan_detect::classifier::{Head, Scratch};

use crate::random::Random;

/// A text as the classifier sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) attack: bool,
    /// How much it counts.
    pub(crate) weight: f32,
    features: Vec<u32>,
    /// Where the features of each cell end.
    ends: Vec<usize>,
}

impl Seen {
    pub(crate) fn of(text: &str, attack: bool, bits: u32, scratch: &mut Scratch) -> Seen {
        let mut seen = Seen { attack, weight: 1.0, features: Vec::new(), ends: Vec::new() };
        scratch.cells(text, |_, ids| {
            seen.features.extend(ids.iter().map(|id| id >> (32 - bits)));
            seen.ends.push(seen.features.len());
        });
        seen
    }

    pub(crate) fn windows(&self) -> usize {
        self.ends.len().saturating_sub(1).max(self.ends.len().min(1))
    }

    fn window(&self, index: usize) -> &[u32] {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.features[begin..self.ends[(index + 1).min(self.ends.len() - 1)]]
    }
}

/// How it is learnt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) bits: u32,
    pub(crate) rounds: usize,
    pub(crate) rate: f32,
    /// How strongly weights are drawn towards nothing.
    pub(crate) decay: f32,
    /// How many windows of a benign text are looked at besides its highest.
    pub(crate) others: usize,
    /// In how many sources a feature is seen at least.
    pub(crate) fewest: u32,
}

/// What is being learnt.
#[derive(Debug)]
pub(crate) struct Learnt {
    weights: Vec<f32>,
    bias: f32,
}

impl Learnt {
    fn raw(&self, ids: &[u32]) -> f32 {
        let sum: f32 = ids.iter().map(|id| self.weights[*id as usize]).sum();
        self.bias + sum / root(ids)
    }

    /// The highest window, and what it is worth.
    fn highest(&self, seen: &Seen) -> Option<(usize, f32)> {
        (0..seen.windows())
            .map(|index| (index, self.raw(seen.window(index))))
            .max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// As it is kept: with 255 steps.
    pub(crate) fn head(&self) -> Head {
        let mut sizes: Vec<f32> = self.weights.iter().map(|weight| weight.abs()).filter(|size| *size > 0.0).collect();
        sizes.sort_by(f32::total_cmp);
        // What a few weights have beyond the others is not worth coarser steps for all.
        let largest = sizes.get(sizes.len().saturating_sub(1 + sizes.len() / 5000)).copied().unwrap_or(1.0).max(1e-6);
        let step = |weight: &f32| ((weight.abs() / largest).min(1.0).sqrt() * 127.0).round().copysign(*weight) as i8;
        Head {
            bias: self.bias,
            largest,
            weights: self.weights.iter().map(|weight| step(weight).cast_unsigned()).collect(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a window holds a few hundred")]
fn root(ids: &[u32]) -> f32 {
    (ids.len().max(1) as f32).sqrt()
}

/// Takes out what is not seen in texts of several sources: it says where a text is from, and not what it wants.
pub(crate) fn keep_common(rows: &mut [Seen], sources: &[&str], bits: u32, fewest: u32) {
    let mut seen_in = vec![0_u64; 1 << bits];
    for (row, source) in rows.iter().zip(sources) {
        // Sources that share a bit count as one.
        let bit = source
            .bytes()
            .fold(17_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            >> 58;
        row.features.iter().for_each(|id| seen_in[*id as usize] |= 1 << bit);
    }
    for row in rows {
        let (mut kept, mut ends, mut begin) = (Vec::new(), Vec::new(), 0);
        for &end in &row.ends {
            let common = |id: &&u32| seen_in[**id as usize].count_ones() >= fewest;
            kept.extend(row.features[begin..end].iter().filter(common));
            ends.push(kept.len());
            begin = end;
        }
        (row.features, row.ends) = (kept, ends);
    }
}

/// Gives each text its weight: sources count by the root of their size, attacks and benign texts as much as each other.
pub(crate) fn weigh(rows: &mut [Seen], sources: &[&str]) {
    let mut sizes: BTreeMap<(&str, bool), f32> = BTreeMap::new();
    for (row, source) in rows.iter().zip(sources) {
        *sizes.entry((source, row.attack)).or_default() += 1.0;
    }
    let mut classes = [0.0; 2];
    for (row, source) in rows.iter_mut().zip(sources) {
        row.weight = sizes[&(*source, row.attack)].powf(-0.5);
        classes[usize::from(row.attack)] += row.weight;
    }
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let half = rows.len() as f32 / 2.0;
    for row in rows {
        row.weight = (row.weight * half / classes[usize::from(row.attack)]).min(10.0);
    }
}

/// Learns from `rows`.
pub(crate) fn learn(rows: &[Seen], how: How) -> Learnt {
    let size = 1 << how.bits;
    let mut learning = Learning {
        learnt: Learnt { weights: vec![0.0; size], bias: 0.0 },
        slopes: vec![1e-3; size],
        bias_slope: 1e-3,
        how,
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut random = Random::new(20_261_128);
    for round in 0..how.rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let row = &rows[index];
            let Some((highest, _)) = learning.learnt.highest(row) else { continue };
            let count = row.windows();
            if !row.attack {
                learning.correct(row, highest, row.weight);
                for _ in 0..how.others.min(count - 1) {
                    learning.correct(row, random.below(count), row.weight);
                }
            } else if round == 0 && count > 3 {
                // Nothing is known yet of where in it the attack stands.
                #[expect(clippy::cast_precision_loss, reason = "hundreds")]
                let share = row.weight / count as f32;
                (0..count).for_each(|window| learning.correct(row, window, share));
            } else {
                learning.correct(row, highest, row.weight);
            }
        }
    }
    learning.learnt
}

struct Learning {
    learnt: Learnt,
    /// How much each weight was corrected so far, which makes further corrections smaller.
    slopes: Vec<f32>,
    bias_slope: f32,
    how: How,
}

impl Learning {
    fn correct(&mut self, row: &Seen, window: usize, weight: f32) {
        let ids = row.window(window);
        let wanted = if row.attack { 1.0 } else { 0.0 };
        let error = (1.0 / (1.0 + (-self.learnt.raw(ids)).exp()) - wanted) * weight;
        if error.abs() < 1e-4 {
            return;
        }
        let share = error / root(ids);
        for &id in ids {
            let (held, slope) = (&mut self.learnt.weights[id as usize], &mut self.slopes[id as usize]);
            let step = share + self.how.decay * *held;
            *slope += step * step;
            *held -= self.how.rate * step / slope.sqrt();
        }
        self.bias_slope += error * error;
        self.learnt.bias -= self.how.rate * error / self.bias_slope.sqrt();
    }
}
