//! Pipelines and stages: what they are, and how a stage is found by what people call it.

use super::category::Category;
use crate::text;

/// What being in a stage means for an opportunity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be decided.
    Open,
    /// Won.
    Won,
    /// Lost.
    Lost,
}

impl Kind {
    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Won, Self::Lost].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A step on the way from first contact to a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Unique within the pipeline, lower case.
    pub key: String,
    /// Unique within the pipeline.
    pub name: String,
    /// What being in it means.
    pub kind: Kind,
    /// Percent, taken on a move that names none.
    pub default_probability: i32,
    /// Days after which an opportunity in it is stale.
    pub rotting_days: Option<i32>,
    /// How sure a forecast may be of what stands in it, where that is set; of open ones alone.
    pub forecast_category: Option<Category>,
    /// Fields that a move into it needs.
    pub required_fields: Vec<String>,
    /// While it is being deleted: the key of the stage to which what stands in it is moved. Nothing comes into it any more.
    pub moving_to: Option<String>,
    /// The version of its pipeline as of which it is this.
    pub version: i64,
}

impl Stage {
    /// How sure a forecast may be of what stands in it and says nothing itself; nothing of a closed one.
    pub fn category(&self) -> Option<Category> {
        let by_probability = Category::of_probability(self.default_probability);
        (self.kind == Kind::Open).then(|| self.forecast_category.unwrap_or(by_probability))
    }
}

/// Fields of an opportunity that a stage may ask for.
pub const REQUIRABLE: [&str; 10] = [
    "amount",
    "contact_id",
    "contact_name",
    "expected_close_date",
    "external_id",
    "lost_reason",
    "notes",
    "products",
    "source",
    "tags",
];

/// Before the key of one of the organisation's own fields, where a stage asks for that.
const OWN_FIELD: &str = "custom_fields.";

/// The key of the organisation's own field that a stage asks for by this, if it is one.
pub fn own_field(required: &str) -> Option<&str> {
    required.strip_prefix(OWN_FIELD)
}

/// How a stage asks for one of the organisation's own fields.
pub fn asking_for_own_field(key: &str) -> String {
    format!("{OWN_FIELD}{key}")
}

/// A way from first contact to a decision: stages in order, at least one of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it is meant where none is named.
    pub is_default: bool,
    /// In order.
    pub stages: Vec<Stage>,
    /// Rises by one with every change.
    pub version: i64,
}

impl Pipeline {
    /// The stage in which an opportunity begins.
    pub fn first(&self) -> Option<&Stage> {
        self.staying().next()
    }

    /// Its stages but for those that are being deleted.
    pub fn staying(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| stage.moving_to.is_none())
    }

    /// The stage of that key.
    pub fn stage(&self, key: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.key == key)
    }

    /// The stage that somebody calls so: by name, or by key without regard to case.
    pub fn find(&self, called: &str) -> Option<&Stage> {
        let called = called.trim();
        let named = |stage: &&Stage| stage.name == called;
        let keyed = |stage: &&Stage| stage.key.eq_ignore_ascii_case(called);
        let folded = |stage: &&Stage| text::fold(&stage.name) == text::fold(called);
        let stages = &self.stages;
        stages
            .iter()
            .find(named)
            .or_else(|| stages.iter().find(keyed))
            .or_else(|| stages.iter().find(folded))
    }
}

/// All pipelines, the default one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pipelines(Vec<Pipeline>);

impl Pipelines {
    /// In the order they are given, which has the default one first.
    pub fn new(pipelines: Vec<Pipeline>) -> Self {
        Self(pipelines)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Pipeline> {
        self.0.iter()
    }

    /// The one meant where none is named.
    pub fn default_one(&self) -> Option<&Pipeline> {
        self.0.iter().find(|pipeline| pipeline.is_default)
    }

    /// The pipeline of that id, or the default one where none is named.
    pub fn get(&self, id: Option<i64>) -> Option<&Pipeline> {
        match id {
            None => self.default_one(),
            Some(id) => self.0.iter().find(|pipeline| pipeline.id == id),
        }
    }

    /// The stages that ask for one of the organisation's own fields, each with its pipeline.
    pub fn asking_for<'a>(
        &'a self,
        key: &'a str,
    ) -> impl Iterator<Item = (&'a Pipeline, &'a Stage)> {
        let asks = move |stage: &&Stage| {
            stage.required_fields.iter().any(|field| own_field(field) == Some(key))
        };
        self.iter().flat_map(move |it| it.stages.iter().filter(asks).map(move |stage| (it, stage)))
    }

    /// A stage of one of them.
    pub fn stage(&self, pipeline_id: i64, key: &str) -> Option<&Stage> {
        self.get(Some(pipeline_id))?.stage(key)
    }

    /// The stages that somebody calls so, as pipeline id and key.
    pub fn called(&self, called: &str, pipeline_id: Option<i64>) -> Vec<(i64, &str)> {
        self.0
            .iter()
            .filter(|pipeline| pipeline_id.is_none_or(|id| id == pipeline.id))
            .filter_map(|pipeline| Some((pipeline.id, pipeline.find(called)?.key.as_str())))
            .collect()
    }
}

/// The stages with which a new installation begins.
pub fn default_stages() -> Vec<Stage> {
    [
        ("lead", "潛在客戶", Kind::Open, 10),
        ("qualification", "需求確認", Kind::Open, 30),
        ("proposal", "方案提案", Kind::Open, 50),
        ("negotiation", "商務談判", Kind::Open, 70),
        ("contract", "合約簽訂", Kind::Open, 90),
        ("won", "成交", Kind::Won, 100),
        ("lost", "失敗", Kind::Lost, 0),
    ]
    .into_iter()
    .map(|(key, name, kind, default_probability)| Stage {
        key: key.to_owned(),
        name: name.to_owned(),
        kind,
        default_probability,
        rotting_days: None,
        forecast_category: None,
        required_fields: Vec::new(),
        moving_to: None,
        version: 1,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_found_by_its_name_or_by_its_key_without_regard_to_case() {
        let pipeline = Pipeline {
            id: 1,
            name: "Sales".into(),
            is_default: true,
            stages: default_stages(),
            version: 1,
        };
        for called in ["需求確認", "qualification", "Qualification", " QUALIFICATION "] {
            assert_eq!(pipeline.find(called).unwrap().key, "qualification");
        }
        assert!(pipeline.find("qualified").is_none());
    }
}
