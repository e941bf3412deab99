//! How sure a forecast may be of what is open.

/// A forecast category of something open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// It is promised.
    Commit,
    /// It comes if things go well.
    BestCase,
    /// It is worked on.
    Pipeline,
    /// It is left out of the forecast.
    Omitted,
}

impl Category {
    /// All there are, the surest first.
    pub const ALL: [Self; 4] = [Self::Commit, Self::BestCase, Self::Pipeline, Self::Omitted];

    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::BestCase => "best_case",
            Self::Pipeline => "pipeline",
            Self::Omitted => "omitted",
        }
    }

    /// The category of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Of an open stage: what is set, otherwise by its default probability, as opportunities has it. Of one whose probability no event has told of yet it is what most are.
    pub fn of_stage(set: Option<&str>, probability: Option<i32>) -> Self {
        set.and_then(Self::parse).unwrap_or(match probability {
            Some(90..) => Self::Commit,
            Some(60..90) => Self::BestCase,
            Some(1..60) | None => Self::Pipeline,
            Some(_) => Self::Omitted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stage_says_goes_before_its_probability() {
        for (set, probability, category) in [
            (None, Some(90), Category::Commit),
            (None, Some(60), Category::BestCase),
            (None, Some(1), Category::Pipeline),
            (None, Some(0), Category::Omitted),
            (None, None, Category::Pipeline),
            (Some("commit"), Some(10), Category::Commit),
            (Some("omitted"), Some(95), Category::Omitted),
        ] {
            assert_eq!(Category::of_stage(set, probability), category, "{set:?} {probability:?}");
        }
    }
}
