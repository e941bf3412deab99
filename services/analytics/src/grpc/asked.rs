//! How requests of reports and forecasts are read: what many of them say in the same fields.

use chrono::NaiveDate;
use proto::analytics::v1 as pb;
use rpc::Invalid;

use crate::ask::Ask;
use crate::period::Asked;
use crate::range::Range;

/// A request for numbers of a part of the opportunities.
pub(super) trait OfPart {
    /// Which part, and what it has to know.
    fn ask(&self) -> Ask;
}

macro_rules! of_part {
    ($($request:ident)*) => {$(
        impl OfPart for pb::$request {
            fn ask(&self) -> Ask {
                let Self { owner_id, team_id, pipeline_id, ref after, .. } = *self;
                Ask { owner_id, team_id, pipeline_id, after: after.clone() }
            }
        }
    )*};
}

of_part! {
    GetPipelineOverviewRequest GetConversionRateRequest GetSalesTrendRequest GetSalesPerformanceRequest GetForecastRequest GetSalesVelocityRequest
    GetLossReasonsRequest GetStageDurationRequest GetCohortsRequest GetActivityReportRequest ListReportOpportunitiesRequest GetPipelineChangesRequest
    ListPipelineChangeOpportunitiesRequest GetForecastBreakdownRequest ListOpportunityForecastsRequest GetForecastHistoryRequest
}

/// A request for numbers from a day to a day.
pub(super) trait OfDays {
    /// The days; what is no day is noted.
    fn range(&self) -> (Range, Invalid);
}

macro_rules! of_days {
    ($($request:ident)*) => {$(
        impl OfDays for pb::$request {
            fn range(&self) -> (Range, Invalid) {
                let mut invalid = Invalid::default();
                let start = day(&mut invalid, "start_date", self.start_date);
                let end = day(&mut invalid, "end_date", self.end_date);
                (Range { start, end }, invalid)
            }
        }
    )*};
}

of_days! {
    GetConversionRateRequest GetSalesVelocityRequest GetLossReasonsRequest GetStageDurationRequest GetCohortsRequest GetActivityReportRequest
    ListReportOpportunitiesRequest
}

/// A request for numbers of a period.
pub(super) trait OfPeriod {
    /// The period, unchecked.
    fn asked(&self) -> Asked<'_>;
}

macro_rules! of_period {
    ($($request:ident)*) => {$(
        impl OfPeriod for pb::$request {
            fn asked(&self) -> Asked<'_> {
                let Self { ref period, year, quarter, month, .. } = *self;
                Asked { period: period.as_deref(), year, quarter, month }
            }
        }
    )*};
}

of_period! {
    GetSalesPerformanceRequest GetForecastRequest GetForecastBreakdownRequest ListOpportunityForecastsRequest GetForecastHistoryRequest
    ListReportOpportunitiesRequest
}

/// A day of a message, or a bad field.
pub(super) fn day(
    invalid: &mut Invalid,
    field: &str,
    date: Option<proto::Date>,
) -> Option<NaiveDate> {
    let day = date.map(NaiveDate::try_from).transpose();
    day.unwrap_or_else(|_| {
        invalid.add(field, "invalid_date", "is not a day of the calendar");
        None
    })
}
