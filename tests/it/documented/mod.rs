//! Every request that the product page documents, as one story: a year behind, a sale made, and what all of it says.

mod advanced;
mod numbers;
mod past;
mod records;

use local::StackOptions;
use serde_json::Value;

use crate::world::World;
use past::Team;

#[tokio::test]
async fn every_documented_request_is_answered_as_the_product_page_says() {
    let world = World::start(StackOptions::default()).await;
    records::the_way_in_is_shown_to_anybody(&world).await;
    records::an_address_and_a_password_give_tokens_and_a_refresh_token_gives_new_ones(&world).await;
    let team = Team::gather(&world).await;
    records::people_teams_and_stages_are_listed(&world, &team).await;
    let past = team.live_through_2025(&world).await;

    let sold = records::an_opportunity_is_made_as_the_sdk_makes_it(&team).await;
    records::it_moves_on_and_its_history_says_so(&team, &sold).await;
    records::a_stage_is_listed_by_amount(&world, &sold, &past).await;
    let won = records::a_win_is_told_to_its_owner(&world, &team).await;

    numbers::the_overview_adds_up(&world, &team, &won).await;
    numbers::a_forecast_of_a_period_gone_by_is_what_was_won_in_it(&world, &team).await;
    numbers::a_forecast_of_the_present_period_takes_what_is_open(&world).await;
    numbers::conversion_says_how_many_went_further(&world).await;
    numbers::the_trend_has_a_row_for_every_period(&world).await;
    numbers::performance_has_a_row_for_everyone_who_sells(&world, &team).await;
    the_advanced_reports_of_the_year(&world).await;
    advanced::every_report_comes_as_a_file(&world).await;
    numbers::the_open_pipeline_changed_as_the_year_went_by(&world).await;
}

#[tokio::test]
async fn a_past_that_comes_as_a_file_gives_the_same_numbers() {
    let world = World::start(StackOptions::default()).await;
    let team = Team::gather(&world).await;
    team.bring_2025_as_a_file(&world).await;
    let is_told = |it: &Value| {
        let items = it["items"].as_array().unwrap();
        let sum = |name: &str| items.iter().map(|item| item[name].as_i64().unwrap()).sum::<i64>();
        (sum("created_count"), sum("won_count"), sum("lost_count")) == (9, 3, 2)
    };
    world.admin.eventually("/reports/sales-trend?period=monthly&year=2025", is_told).await;
    numbers::conversion_of_the_year(&world).await;
    numbers::the_trend_has_a_row_for_every_period(&world).await;
    the_advanced_reports_of_the_year(&world).await;
    numbers::the_open_pipeline_changed_as_the_year_went_by(&world).await;
}

async fn the_advanced_reports_of_the_year(world: &World) {
    advanced::velocity_is_what_is_won_a_day(world).await;
    advanced::what_was_lost_is_told_by_reason_and_stage(world).await;
    advanced::durations_count_the_one_that_is_still_there(world).await;
    advanced::a_cohort_is_followed_month_by_month(world).await;
    advanced::a_number_opens_to_its_opportunities(world).await;
}

/// A JSON object without some of its members, which have to be there.
fn without(value: &Value, members: &[&str]) -> Value {
    let mut value = value.clone();
    for member in members {
        assert!(value.as_object_mut().unwrap().remove(*member).is_some(), "no {member} in {value}");
    }
    value
}
