//! How good a detector is: figures, and how sure they are.

/// A score and whether the text is an attack.
pub(crate) type Scored = (f32, bool);

/// The probability that an attack scores higher than a benign text (area under the ROC curve); ties count half.
pub(crate) fn area(scored: &[Scored]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
    let attacks = sorted.iter().filter(|scored| scored.1).count() as f64;
    let benign = sorted.len() as f64 - attacks;
    if attacks == 0.0 || benign == 0.0 {
        return None;
    }
    let mut ranks = 0.0;
    let mut at = 0;
    for same in sorted.chunk_by(|one, other| one.0 == other.0) {
        let middle = at as f64 + (same.len() as f64 + 1.0) / 2.0;
        ranks += middle * same.iter().filter(|scored| scored.1).count() as f64;
        at += same.len();
    }
    Some((ranks - attacks * (attacks + 1.0) / 2.0) / (attacks * benign))
}

/// The score above which `share` of the benign texts lie, at most.
pub(crate) fn threshold(scored: &[Scored], share: f64) -> f32 {
    let mut benign: Vec<f32> = scored.iter().filter(|scored| !scored.1).map(|scored| scored.0).collect();
    benign.sort_by(|one, other| other.total_cmp(one));
    let above = (benign.len() as f64 * share).floor() as usize;
    benign.get(above).copied().unwrap_or(f32::MAX)
}

/// Which share of the attacks lies above `threshold`.
pub(crate) fn recall(scored: &[Scored], threshold: f32) -> Option<f64> {
    share(scored.iter().filter(|scored| scored.1).map(|scored| scored.0 > threshold))
}

/// Which share of the benign texts lies above `threshold`.
pub(crate) fn flagged(scored: &[Scored], threshold: f32) -> Option<f64> {
    share(scored.iter().filter(|scored| !scored.1).map(|scored| scored.0 > threshold))
}

fn share(hits: impl Iterator<Item = bool>) -> Option<f64> {
    let (hits, all) = hits.fold((0, 0), |(hits, all), hit| (hits + usize::from(hit), all + 1));
    (all > 0).then(|| hits as f64 / all as f64)
}

/// Between which values a share of `all` lies with 95 % confidence (Wilson, 1927).
pub(crate) fn interval(share: f64, all: usize) -> (f64, f64) {
    let (n, z) = (all.max(1) as f64, 1.96);
    let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// The least slope of a curve.
const LEAST: f64 = 0.05;

/// `slope` and `offset` of the logistic curve that makes probabilities of scores (Platt, 1999), where attacks and benign texts
/// weigh as much as each other.
pub(crate) fn curve(scored: &[Scored]) -> (f32, f32) {
    curve_of_part(scored, counts(scored))
}

/// How many attacks there are, and how many benign texts.
pub(crate) fn counts(scored: &[Scored]) -> (usize, usize) {
    let attacks = scored.iter().filter(|scored| scored.1).count();
    (attacks, scored.len() - attacks)
}

/// The same of a part of texts, of which there are as many attacks and benign ones in all.
pub(crate) fn curve_of_part(scored: &[Scored], (attacks, benign): (usize, usize)) -> (f32, f32) {
    let (attacks, benign) = (attacks.max(1) as f64, benign.max(1) as f64);
    let (mut slope, mut offset) = (1.0_f64, 0.0_f64);
    // What does not rise with the score does not count, and then only the offset is left to choose.
    let mut least = f64::MIN;
    // Newton's method on two parameters, damped a little.
    for round in 0..200 {
        let mut gradient = [0.0; 2];
        let mut curvature = [1e-6, 0.0, 1e-6];
        for &(score, attack) in scored {
            let x = f64::from(score);
            let weight = if attack { 0.5 / attacks } else { 0.5 / benign };
            let p = 1.0 / (1.0 + (-(slope * x + offset)).exp());
            let error = weight * (p - if attack { 1.0 } else { 0.0 });
            let bend = weight * p * (1.0 - p);
            gradient[0] += error * x;
            gradient[1] += error;
            curvature[0] += bend * x * x;
            curvature[1] += bend * x;
            curvature[2] += bend;
        }
        if slope <= least {
            offset -= 0.7 * gradient[1] / curvature[2];
            continue;
        }
        let determinant = curvature[0] * curvature[2] - curvature[1] * curvature[1];
        if determinant.abs() < 1e-12 {
            break;
        }
        slope -= 0.7 * (curvature[2] * gradient[0] - curvature[1] * gradient[1]) / determinant;
        offset -= 0.7 * (curvature[0] * gradient[1] - curvature[1] * gradient[0]) / determinant;
        if round == 99 && slope < LEAST {
            (slope, least) = (LEAST, LEAST);
        }
    }
    (slope.clamp(LEAST, 20.0) as f32, offset.clamp(-100.0, 100.0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_what_they_are_called() {
        let scored = [(0.9, true), (0.8, false), (0.7, true), (0.1, false), (0.1, true)];
        assert_eq!(area(&scored), Some((2.0 + 1.0 + 0.5) / 6.0));
        assert_eq!(area(&scored[..1]), None);
        assert_eq!(threshold(&scored, 0.0), 0.8);
        assert_eq!(threshold(&scored, 0.5), 0.1);
        assert_eq!(recall(&scored, 0.8), Some(1.0 / 3.0));
        assert_eq!(flagged(&scored, 0.5), Some(0.5));
        let (low, high) = interval(0.5, 100);
        assert!((low - 0.404).abs() < 0.001 && (high - 0.596).abs() < 0.001);
    }

    #[test]
    fn a_curve_gives_back_the_probabilities_that_made_it() {
        let mut scored = Vec::new();
        for step in -40..=40_i32 {
            let x = step as f32 / 10.0;
            let p = 1.0 / (1.0 + (-(2.0 * f64::from(x) - 1.0)).exp());
            let attacks = (p * 1000.0).round() as usize;
            scored
                .extend(std::iter::repeat_n((x, true), attacks).chain(std::iter::repeat_n((x, false), 1000 - attacks)));
        }
        let (slope, offset) = curve(&scored);
        // Attacks are as many as benign texts in the eyes of the curve, so only the offset moves.
        assert!((slope - 2.0).abs() < 0.1, "{slope} {offset}");
    }
}
