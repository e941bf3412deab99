//! Comparing with the owner of the opportunities and their activities by count and sum of versions, while both go on changing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use events::inbox;
use proto::events::v1::{DigestRange, GetDigestResponse};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use crate::consumer::{NAME, OPPORTUNITIES};
use crate::owners::Owner;
use crate::{activity, projection};

/// How many ids one sum of versions spans.
pub(crate) const RANGE: i64 = 1_000;
/// What the owner has told may take this long to be applied.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it is.
const GLANCE: Duration = Duration::from_millis(20);

/// By the first id of a range: how many records it holds, and the sum of their versions.
pub(crate) type Digest = BTreeMap<i64, (i64, i64)>;

/// What a comparison came to.
pub(crate) struct Compared {
    /// How many records the owner has.
    pub(crate) count: i64,
    /// The ranges that differ, in a sentence each.
    pub(crate) differing: BTreeMap<i64, String>,
}

/// What there is to compare, by the name of its aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Opportunities,
    Activities,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Opportunities, Self::Activities];

    /// As events say.
    pub(crate) fn aggregate(self) -> &'static str {
        match self {
            Self::Opportunities => "opportunity",
            Self::Activities => "activity",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Opportunities => "opportunities",
            Self::Activities => "activities",
        }
    }

    async fn digest(self, connection: &mut PgConnection) -> sqlx::Result<Digest> {
        match self {
            Self::Opportunities => projection::store::digest(connection, RANGE).await,
            Self::Activities => activity::store::digest(connection, RANGE).await,
        }
    }
}

/// Compares. Counts and versions only rise, so here is neither less than the owner had before, once that is applied, nor more than it has afterwards.
pub(crate) async fn compare(
    connection: &mut PgConnection,
    owner: &Owner,
    kind: Kind,
) -> Result<Compared> {
    let before = owner.digest(kind.aggregate(), RANGE).await?;
    let deadline = Instant::now() + PATIENCE;
    while inbox::position(connection, NAME, OPPORTUNITIES).await? < before.position
        && Instant::now() < deadline
    {
        sleep(GLANCE).await;
    }
    let ours = kind.digest(connection).await?;
    let after = owner.digest(kind.aggregate(), RANGE).await?;
    let count = after.ranges.iter().map(|range| range.count).sum();
    Ok(Compared { count, differing: differing(kind, &of(&before), &ours, &of(&after)) })
}

fn of(answer: &GetDigestResponse) -> Digest {
    let pair = |range: &DigestRange| (range.from_id, (range.count, range.version_sum));
    answer.ranges.iter().map(pair).collect()
}

fn differing(kind: Kind, before: &Digest, ours: &Digest, after: &Digest) -> BTreeMap<i64, String> {
    let ranges: BTreeSet<i64> =
        before.keys().chain(ours.keys()).chain(after.keys()).copied().collect();
    let at = |digest: &Digest, range: i64| digest.get(&range).copied().unwrap_or_default();
    let between = |range: &i64| {
        let (least, here, most) = (at(before, *range), at(ours, *range), at(after, *range));
        (least.0..=most.0).contains(&here.0) && (least.1..=most.1).contains(&here.1)
    };
    let differing = ranges.into_iter().filter(|range| !between(range));
    let tell = |range| {
        let (theirs, here) = (at(after, range), at(ours, range));
        let told = format!(
            "{} from {range}: owner {theirs:?}, here {here:?} (count, sum of versions)",
            kind.plural()
        );
        (range, told)
    };
    differing.map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_looks_at_the_owner_does_not_differ() {
        let digest = |pairs: &[(i64, (i64, i64))]| pairs.iter().copied().collect::<Digest>();
        let before = digest(&[(0, (2, 5)), (1_000, (1, 1))]);
        let after = digest(&[(0, (2, 9)), (1_000, (1, 1)), (2_000, (1, 1))]);
        for (ours, expected) in [
            (digest(&[(0, (2, 7)), (1_000, (1, 1))]), &[][..]),
            (after.clone(), &[]),
            (digest(&[(0, (2, 4)), (1_000, (1, 1))]), &[0]),
            (digest(&[(0, (2, 9))]), &[1_000]),
            (digest(&[(0, (2, 9)), (1_000, (2, 2))]), &[1_000]),
            (digest(&[(0, (2, 9)), (1_000, (1, 1)), (3_000, (1, 1))]), &[3_000]),
        ] {
            let found: Vec<_> =
                differing(Kind::Activities, &before, &ours, &after).into_keys().collect();
            assert_eq!(found, expected, "{ours:?}");
        }
    }
}
