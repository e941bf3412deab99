//! How sure a forecast may be of what is open.

/// A forecast category of something open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// It is promised.
    Commit,
    /// It comes if things go well.
    BestCase,
    /// It is worked on.
    Pipeline,
    /// It is left out.
    Omitted,
}

impl Category {
    /// All there are, the surest first.
    pub const ALL: [Self; 4] = [Self::Commit, Self::BestCase, Self::Pipeline, Self::Omitted];

    /// As the database, events and files name it.
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

    /// Of a stage that says none, by its default probability in percent. analytics has the same rule.
    pub const fn of_probability(percent: i32) -> Self {
        match percent {
            90.. => Self::Commit,
            60..90 => Self::BestCase,
            1..60 => Self::Pipeline,
            _ => Self::Omitted,
        }
    }
}

/// Reads a column of one.
pub(crate) fn of_column(text: Option<&str>) -> sqlx::Result<Option<Category>> {
    let broken = || sqlx::Error::Decode("forecast_category".into());
    text.map(|text| Category::parse(text).ok_or_else(broken)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_s_probability_says_how_sure_a_forecast_may_be() {
        for (percent, category) in [
            (100, Category::Commit),
            (90, Category::Commit),
            (89, Category::BestCase),
            (60, Category::BestCase),
            (59, Category::Pipeline),
            (1, Category::Pipeline),
            (0, Category::Omitted),
        ] {
            assert_eq!(Category::of_probability(percent), category, "{percent}");
        }
        for category in Category::ALL {
            assert_eq!(Category::parse(category.as_str()), Some(category));
        }
    }
}
