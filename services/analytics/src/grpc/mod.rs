//! Transport: proto in, one call, proto out.

mod adjustment;
mod advanced_answer;
mod advanced_report;
mod answer;
mod asked;
mod attainment;
mod forecast;
mod forecast_answer;
mod pipeline_change;
mod report;
mod target;

pub use adjustment::Adjustments;
pub use advanced_report::AdvancedReports;
pub use attainment::AttainmentAnswers;
pub use forecast::Forecasts;
pub use pipeline_change::Changes;
pub use report::Reports;
pub use target::Targets;

use auth::Caller;
use rpc::Error;
use tonic::Request;

/// Who calls, if they may read.
fn reader<T>(request: &Request<T>) -> Result<Caller, Error> {
    let caller = auth::caller(request)?;
    caller.require_read()?;
    Ok(caller)
}
