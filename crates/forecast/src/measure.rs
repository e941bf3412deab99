//! How good forecasts were: the measures by which they are judged.

/// The mean of minus the logarithm of the chance that was given to what came true.
#[must_use]
pub fn log_loss(told: &[(f64, bool)]) -> f64 {
    let cost = |(chance, is_true): &(f64, bool)| {
        let chance = chance.clamp(1e-6, 1.0 - 1e-6);
        -(if *is_true { chance } else { 1.0 - chance }).ln()
    };
    told.iter().map(cost).sum::<f64>() / told.len().max(1) as f64
}

/// The chance that of two, one that came true and one that did not, the first was given the higher chance (the area under the receiver operating characteristic).
#[must_use]
pub fn area(told: &[(f64, bool)]) -> f64 {
    let mut sorted = told.to_vec();
    sorted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let (mut ranks, mut place) = (0.0, 0);
    while place < sorted.len() {
        let same = sorted[place..].iter().take_while(|it| it.0 <= sorted[place].0).count();
        // Those that were told alike share their ranks.
        let rank = place as f64 + f64::midpoint(same as f64, 1.0);
        ranks += rank * sorted[place..place + same].iter().filter(|it| it.1).count() as f64;
        place += same;
    }
    let yes = sorted.iter().filter(|it| it.1).count() as f64;
    let no = sorted.len() as f64 - yes;
    if yes * no > 0.0 { (ranks - yes * (yes + 1.0) / 2.0) / (yes * no) } else { 0.5 }
}

/// How far chances are from what came true: the mean distance over ten groups of the same size, by what was told (the expected calibration error).
#[must_use]
pub fn calibration_error(told: &[(f64, bool)]) -> f64 {
    const GROUPS: usize = 10;
    let mut sorted = told.to_vec();
    sorted.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let group =
        |index: usize| &sorted[index * sorted.len() / GROUPS..(index + 1) * sorted.len() / GROUPS];
    let distance = |group: &[(f64, bool)]| {
        group.iter().map(|(chance, is_true)| chance - f64::from(u8::from(*is_true))).sum::<f64>()
    };
    let sum: f64 = (0..GROUPS).map(|index| distance(group(index)).abs()).sum();
    sum / sorted.len().max(1) as f64
}

/// A range that was told, and what came true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The 10th, 50th and 90th percentile.
    pub percentiles: [f64; 3],
    /// What came true.
    pub actual: f64,
}

/// The mean distance of the middle from what came true, as a share of that (mean absolute percentage error); of those where something came true.
#[must_use]
pub fn percentage_error(told: &[Told]) -> f64 {
    mean(
        told.iter()
            .filter(|it| it.actual > 0.0)
            .map(|it| (it.percentiles[1] / it.actual - 1.0).abs()),
    )
}

/// The sum of all middles against the sum of what came true, less one.
#[must_use]
pub fn bias(told: &[Told]) -> f64 {
    let middles: f64 = told.iter().map(|it| it.percentiles[1]).sum();
    let actual: f64 = told.iter().map(|it| it.actual).sum();
    if actual > 0.0 { middles / actual - 1.0 } else { 0.0 }
}

/// The share of ranges that hold what came true.
#[must_use]
pub fn coverage(told: &[Told]) -> f64 {
    mean(told.iter().map(|it| {
        let [low, _, high] = it.percentiles;
        f64::from(u8::from(low <= it.actual && it.actual <= high))
    }))
}

/// The mean pinball loss of the three percentiles, as a share of the mean of what came true: the less, the nearer and the narrower.
#[must_use]
pub fn pinball(told: &[Told]) -> f64 {
    let loss = |it: &Told| {
        let of = |(part, percentile): (f64, f64)| {
            let above = it.actual - percentile;
            if above >= 0.0 { part * above } else { (part - 1.0) * above }
        };
        [0.1, 0.5, 0.9].into_iter().zip(it.percentiles).map(of).sum::<f64>() / 3.0
    };
    let actual = mean(told.iter().map(|it| it.actual));
    if actual > 0.0 { mean(told.iter().map(loss)) / actual } else { 0.0 }
}

/// As it is told: with four decimals.
#[must_use]
pub fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), it| (sum + it, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} {other}");
    }

    #[test]
    fn measures_of_chances_are_as_defined() {
        let told = [(0.9, true), (0.2, false), (0.2, true), (0.6, false)];
        near(log_loss(&told), -(0.9_f64.ln() + 0.8_f64.ln() + 0.2_f64.ln() + 0.4_f64.ln()) / 4.0);
        // Of the four pairs two are right, one is wrong and one is a tie.
        near(area(&told), 2.5 / 4.0);
        near(area(&[]), 0.5);
        let sure: Vec<(f64, bool)> = (0..100).map(|it| (0.25, it % 4 == 0)).collect();
        assert!(calibration_error(&sure) < 0.1);
        near(calibration_error(&[(1.0, false); 20]), 1.0);
    }

    #[test]
    fn measures_of_ranges_are_as_defined() {
        let one = Told { percentiles: [80.0, 100.0, 130.0], actual: 125.0 };
        let other = Told { percentiles: [80.0, 100.0, 130.0], actual: 50.0 };
        near(percentage_error(&[one, other]), f64::midpoint(0.2, 1.0));
        near(bias(&[one, other]), 200.0 / 175.0 - 1.0);
        near(coverage(&[one, other]), 0.5);
        let losses = [4.5, 12.5, 0.5, 27.0, 25.0, 8.0];
        near(pinball(&[one, other]), losses.iter().sum::<f64>() / 6.0 / 87.5);
    }
}
