//! Ridge logistic regression over rows that are each in one level of several groups, by Newton's method.

/// How small the last step has to be.
const CLOSE_ENOUGH: f64 = 1e-5;
/// The most steps.
const MOST_STEPS: usize = 25;
/// The longest step of a coefficient, so that a bad start does not throw it away.
const LONGEST_STEP: f64 = 4.0;

/// Rows of the same width: which coefficient each of them has on, one of every group.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    width: usize,
    levels: Vec<u16>,
    targets: Vec<(f32, f32)>,
}

impl Rows {
    /// None yet, of so many groups.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, levels: Vec::new(), targets: Vec::new() }
    }

    /// One more: what share of it is yes, and how much it counts.
    pub fn push(&mut self, levels: impl IntoIterator<Item = u16>, share: f64, weight: f64) {
        self.levels.extend(levels);
        self.targets.push((share as f32, weight as f32));
        debug_assert_eq!(self.levels.len(), self.width * self.targets.len());
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

/// The coefficients that make the rows most likely, where each is as likely as its square times half its penalty is small. Unique, since every penalty is positive.
#[must_use]
pub fn fit(rows: &Rows, penalties: &[f64]) -> Vec<f64> {
    let size = penalties.len();
    let mut coefficients = vec![0.0; size];
    let mut hessian = vec![0.0; size * size];
    for _ in 0..MOST_STEPS {
        let mut gradient: Vec<f64> =
            coefficients.iter().zip(penalties).map(|(it, penalty)| -it * penalty).collect();
        hessian.fill(0.0);
        for (level, penalty) in penalties.iter().enumerate() {
            hessian[level * size + level] = *penalty;
        }
        for (levels, (share, weight)) in rows.levels.chunks_exact(rows.width).zip(&rows.targets) {
            let score: f64 = levels.iter().map(|level| coefficients[usize::from(*level)]).sum();
            let chance = sigmoid(score);
            let weight = f64::from(*weight);
            let slope = (f64::from(*share) - chance) * weight;
            let curve = chance * (1.0 - chance) * weight;
            for (place, one) in levels.iter().enumerate() {
                let one = usize::from(*one);
                gradient[one] += slope;
                let row = &mut hessian[one * size..(one + 1) * size];
                // Groups have their levels in order, so that this is the lower half.
                for other in &levels[..=place] {
                    row[usize::from(*other)] += curve;
                }
            }
        }
        let step = solve(&mut hessian, size, gradient);
        let mut longest: f64 = 0.0;
        for (it, step) in coefficients.iter_mut().zip(step) {
            *it += step.clamp(-LONGEST_STEP, LONGEST_STEP);
            longest = longest.max(step.abs());
        }
        if longest < CLOSE_ENOUGH {
            break;
        }
    }
    coefficients
}

/// Solves a system whose matrix is symmetric and positive, of which the lower half is given, and overwrites it (Cholesky).
fn solve(matrix: &mut [f64], size: usize, mut right: Vec<f64>) -> Vec<f64> {
    for row in 0..size {
        let (above, this) = matrix.split_at_mut(row * size);
        for column in 0..row {
            let other = &above[column * size..column * size + column];
            let sum: f64 = other.iter().zip(&this[..column]).map(|(one, other)| one * other).sum();
            this[column] = (this[column] - sum) / above[column * size + column];
        }
        let sum: f64 = this[..row].iter().map(|it| it * it).sum();
        this[row] = (this[row] - sum).max(f64::MIN_POSITIVE).sqrt();
    }
    for row in 0..size {
        let line = &matrix[row * size..row * size + row];
        let sum: f64 = line.iter().zip(&right).map(|(one, other)| one * other).sum();
        right[row] = (right[row] - sum) / matrix[row * size + row];
    }
    for row in (0..size).rev() {
        right[row] /= matrix[row * size + row];
        let known = right[row];
        let line = &matrix[row * size..row * size + row];
        for (it, factor) in right.iter_mut().zip(line) {
            *it -= factor * known;
        }
    }
    right
}

/// What chance a score in log-odds is.
#[must_use]
pub fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// The log-odds of a chance, which is kept away from certainty.
#[must_use]
pub fn logit(chance: f64) -> f64 {
    let chance = chance.clamp(1e-6, 1.0 - 1e-6);
    (chance / (1.0 - chance)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saturated_model_without_much_penalty_is_the_shares() {
        let mut rows = Rows::new(1);
        for (level, share, count) in [(0, 0.25, 40.0), (1, 0.9, 30.0), (2, 0.5, 1.0)] {
            rows.push([level], share, count);
        }
        let found = fit(&rows, &[1e-6; 3]);
        for (found, share) in found.iter().zip([0.25, 0.9, 0.5]) {
            assert!((sigmoid(*found) - share).abs() < 1e-4, "{found} {share}");
        }
    }

    #[test]
    fn at_the_coefficients_that_are_found_nothing_can_be_gained() {
        // At the maximum every slope is nought, and the penalty makes it the only one.
        let rows = [([0, 2], 1.0), ([0, 2], 1.0), ([0, 3], 0.0), ([1, 2], 1.0), ([1, 3], 0.0)];
        let mut all = Rows::new(2);
        for (levels, share) in rows {
            all.push(levels, share, 1.0);
        }
        let found = fit(&all, &[1.0; 4]);
        let mut slopes: Vec<f64> = found.iter().map(|it| -it).collect();
        for (levels, share) in rows {
            let score: f64 = levels.iter().map(|it| found[usize::from(*it)]).sum();
            for level in levels {
                slopes[usize::from(level)] += share - sigmoid(score);
            }
        }
        assert!(slopes.iter().all(|it| it.abs() < 1e-6), "{slopes:?}");
        assert!(found[2] > 0.5 && found[3] < -0.5, "{found:?}");
    }
}
