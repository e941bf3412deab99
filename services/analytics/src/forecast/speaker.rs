//! Which model speaks, in words.

use super::model::{Known, Phase};
use crate::visibility::Sight;

/// A way to forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// Whether it learned from the team's own history.
    pub learned: bool,
    /// From how many won and lost opportunities; told to who sees them all.
    pub learned_from: Option<(i64, i64)>,
    /// What it does, for people, in English.
    pub explanation: &'static str,
    /// And in Traditional Chinese.
    pub explanation_zh: &'static str,
}

const STAGE_WEIGHTED: &str = "What is won already, and every open opportunity that is expected to close in the period, counted with its own probability; \
opportunities not made yet are not foreseen. The range takes what the pipeline brings as log-normal with a sigma of 0.5, from 0.527 to 1.898 times \
the expected value and never more than everything open is worth. It is wide on purpose until past forecasts can be measured.";

const STAGE_WEIGHTED_ZH: &str = "已成交的金額，加上預計在期間內結案的每筆進行中商機，各按自己的機率計入；尚未建立的商機不預估。範圍以管道預期值的 0.527 至 1.898 倍計（對數常態，sigma 0.5），且不超過進行中商機的總額；在過去的預測能被驗證之前，刻意放寬。";

const CLOSED: &str =
    "The period is over: what was won in it is known, so all three values are the same.";

const CLOSED_ZH: &str = "期間已結束：成交金額已確定，因此三個數值相同。";

const SHRUNK_LADDER: &str = "What is won already, and what is to be expected of every open opportunity that has a close date and of those not made yet. Few have closed so far: \
an opportunity counts with the share won of those that were in its stage, mixed with the stage's default as if that were 20 opportunities, and with how fast they closed. \
The range is as wide as past forecasts were wrong, and wide until two of them can be looked at.";

const SHRUNK_LADDER_ZH: &str = "已成交的金額，加上每筆有預計結案日的進行中商機與尚未建立的商機所能期待的金額。目前結案的商機還少：每筆按曾在其階段的商機的贏單比例計入，並與該階段的預設機率混合（相當於 20 筆商機），再考慮它們結案的快慢。範圍與過去預測的誤差同寬；在能檢視兩次過去的預測之前，刻意放寬。";

const BLIND: &str = "What is won already, and what is to be expected of every open opportunity that has a close date and of those not made yet. Tried on the past, nothing that \
is known of an opportunity told whether it would be won, so that each counts with the share won of all, and with how fast they closed. The range is as wide as past forecasts were wrong.";

const BLIND_ZH: &str = "已成交的金額，加上每筆有預計結案日的進行中商機與尚未建立的商機所能期待的金額。以過去的資料檢驗，商機的任何已知資訊都無法判斷是否贏單，因此每筆按整體贏單比例與結案的快慢計入。範圍與過去預測的誤差同寬。";

const TABLE: &str = "What is won already, and what is to be expected of every open opportunity that has a close date and of those not made yet. An opportunity counts with what became \
of those that were in its stage for as long as it has been. The range is as wide as past forecasts were wrong.";

const TABLE_ZH: &str = "已成交的金額，加上每筆有預計結案日的進行中商機與尚未建立的商機所能期待的金額。每筆按在同一階段、停留同樣久的商機後來的結果計入。範圍與過去預測的誤差同寬。";

const FEATURES: &str = "What is won already, and what is to be expected of every open opportunity that has a close date and of those not made yet. An opportunity counts with what \
became of those that were like it: in its stage, for as long, and by its age, amount, owner, source, activities and moves. The range is as wide as past forecasts were wrong.";

const FEATURES_ZH: &str = "已成交的金額，加上每筆有預計結案日的進行中商機與尚未建立的商機所能期待的金額。每筆按與它相似的商機後來的結果計入：同一階段、停留同樣久，並考慮其年齡、金額、負責人、來源、活動與異動。範圍與過去預測的誤差同寬。";

impl Model {
    pub(super) fn of(phase: Phase, known: &Known) -> Self {
        if phase == Phase::Past {
            return Self::plain("closed", (CLOSED, CLOSED_ZH));
        }
        let Some(speaker) = known.speaker.as_ref().filter(|_| known.ahead.is_some()) else {
            return Self::stage_weighted();
        };
        Self::learned(&speaker.voice, speaker.version, (speaker.won, speaker.lost))
    }

    fn plain(name: &str, (explanation, explanation_zh): (&'static str, &'static str)) -> Self {
        Self {
            name: name.to_owned(),
            version: 1,
            learned: false,
            learned_from: None,
            explanation,
            explanation_zh,
        }
    }

    /// That which speaks where nothing was learned.
    pub(super) fn stage_weighted() -> Self {
        Self::plain("stage_weighted", (STAGE_WEIGHTED, STAGE_WEIGHTED_ZH))
    }

    /// As it is told to who sees that.
    #[must_use]
    pub(super) fn seen(self, sight: &Sight) -> Self {
        Self { learned_from: self.learned_from.filter(|_| *sight == Sight::All), ..self }
    }

    /// One that learned something.
    pub(super) fn learned(voice: &str, version: i64, learned_from: (i64, i64)) -> Self {
        let (explanation, explanation_zh) = match voice {
            "shrunk_ladder" => (SHRUNK_LADDER, SHRUNK_LADDER_ZH),
            "constant" | "open" => (BLIND, BLIND_ZH),
            "stage" | "table" => (TABLE, TABLE_ZH),
            _ => (FEATURES, FEATURES_ZH),
        };
        Self {
            name: voice.to_owned(),
            version: version_of(version),
            learned: true,
            learned_from: Some(learned_from),
            explanation,
            explanation_zh,
        }
    }
}

/// As it is told.
pub(super) fn version_of(version: i64) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}
