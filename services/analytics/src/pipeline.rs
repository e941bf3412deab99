//! Pipelines and their stages as events told of them.

use sqlx::PgPool;

use crate::category::Category;
use crate::deal::Kind;

/// A step of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Unique within the pipeline.
    pub key: String,
    /// The name shown.
    pub name: String,
    /// What being in it means.
    pub kind: Kind,
    /// How sure a forecast may be of what is open in it and says nothing itself.
    pub category: Category,
}

/// A pipeline with its stages in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Its id.
    pub id: i64,
    /// Whether it is meant where none is named.
    pub is_default: bool,
    /// In order.
    pub stages: Vec<Stage>,
}

impl Pipeline {
    /// Its open stages in order.
    pub fn open_stages(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| stage.kind == Kind::Open)
    }
}

/// All pipelines that are not deleted, the default one first.
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

    /// The pipeline of that id, or the default one where none is named.
    pub fn get(&self, id: Option<i64>) -> Option<&Pipeline> {
        self.0.iter().find(|pipeline| id.map_or(pipeline.is_default, |id| pipeline.id == id))
    }
}

/// The keys of stages in order, and whether each is deleted: those that there are, and those that there were, each after the one that it came after last. What reached a deleted
/// stage went as far as that, whatever becomes of the stage.
pub(crate) fn with_deleted(before: &[String], now: &[String]) -> Vec<(String, bool)> {
    let mut order: Vec<(String, bool)> = now.iter().map(|key| (key.clone(), false)).collect();
    for (index, key) in before.iter().enumerate() {
        if now.contains(key) {
            continue;
        }
        let place_of = |key: &String| order.iter().position(|(known, _)| known == key);
        let place = before[..index].iter().rev().find_map(place_of).map_or(0, |place| place + 1);
        order.insert(place, (key.clone(), true));
    }
    order
}

/// All pipelines as they are stored.
pub(crate) async fn all(pool: &PgPool) -> sqlx::Result<Pipelines> {
    let rows = sqlx::query!(
        "select p.pipeline_id, p.is_default, s.key, s.name, s.kind, s.default_probability, s.forecast_category
         from pipelines p join stages s using (pipeline_id)
         where not p.is_deleted and not s.is_deleted
         order by p.is_default desc, p.pipeline_id, s.ordinal"
    )
    .fetch_all(pool)
    .await?;
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for row in rows {
        let kind =
            Kind::parse(&row.kind).ok_or_else(|| sqlx::Error::Decode("stages.kind".into()))?;
        let set = row.forecast_category.as_deref();
        let category = Category::of_stage(set, row.default_probability);
        let stage = Stage { key: row.key, name: row.name, kind, category };
        match pipelines.last_mut() {
            Some(pipeline) if pipeline.id == row.pipeline_id => pipeline.stages.push(stage),
            _ => pipelines.push(Pipeline {
                id: row.pipeline_id,
                is_default: row.is_default,
                stages: vec![stage],
            }),
        }
    }
    Ok(Pipelines::new(pipelines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_deleted_stage_stays_after_the_one_it_came_after() {
        for (before, now, expected) in [
            ("a b c won", "a c won", "a (b) c won"),
            ("a b c won", "c a won", "c a (b) won"),
            ("a b c won", "c won", "(a) (b) c won"),
            ("a b c won", "a x won", "a (b) (c) x won"),
            // One that is there again has its new place.
            ("a b c won", "a c b won", "a c b won"),
        ] {
            let order = with_deleted(&keys(before), &keys(now));
            let told: Vec<_> = order
                .into_iter()
                .map(|(key, is_deleted)| if is_deleted { format!("({key})") } else { key })
                .collect();
            assert_eq!(told.join(" "), expected, "{before} to {now}");
        }
    }
}
