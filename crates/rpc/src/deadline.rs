//! How long a request may take, and how that is told to the next service.

use std::{future::Future, time::Duration};

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Deadline;
}

/// When a request that arrived has to be answered.
///
/// A little of what the caller allowed is kept back, so that the answer, even if it is "too late", reaches them before they give up: the
/// use case has until `soft`, and what it has not answered by `hard` is answered for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) soft: Instant,
    pub(crate) hard: Instant,
}

impl Deadline {
    pub(crate) fn after(arrived: Instant, allowed: Duration) -> Self {
        let kept_back = (allowed / 10).min(Duration::from_millis(100));
        Self {
            soft: arrived + allowed.saturating_sub(kept_back),
            hard: arrived + allowed.saturating_sub(kept_back / 2),
        }
    }

    /// Runs `future` as part of a request with this deadline, for [`Deadline::current`].
    pub(crate) fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// The deadline of the request that the current task works for, if it has one.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(|it| *it).ok()
    }
}

/// What `grpc-timeout` allows: at most eight digits and a unit. What cannot be read allows everything.
pub(crate) fn allowed(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// `grpc-timeout` for a call that may take `left`, in whole milliseconds and at least one.
pub(crate) fn header(left: Duration) -> HeaderValue {
    let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).clamp(1, 99_999_999);
    HeaderValue::from_str(&format!("{milliseconds}m"))
        .unwrap_or_else(|_| HeaderValue::from_static("1m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        let value = HeaderValue::from_str(text).unwrap();
        allowed(&HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]))
    }

    #[test]
    fn grpc_timeout_is_read_in_every_unit() {
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("1500m"), Some(Duration::from_millis(1_500)));
        assert_eq!(read("1H"), Some(Duration::from_hours(1)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
    }

    #[test]
    fn a_grpc_timeout_that_is_none_allows_everything() {
        for text in ["", "S", "10", "-1S", "123456789S", "1 S", "1s"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(allowed(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_written_reads_back() {
        let left = Duration::from_micros(2_345_678);
        assert_eq!(read(header(left).to_str().unwrap()), Some(Duration::from_millis(2_345)));
        assert_eq!(header(Duration::ZERO), "1m");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_ready_before_the_caller_gives_up() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_secs(10));
        assert_eq!(deadline.soft, now + Duration::from_millis(9_900));
        assert_eq!(deadline.hard, now + Duration::from_millis(9_950));
        let short = Deadline::after(now, Duration::from_millis(100));
        assert_eq!(short.soft, now + Duration::from_millis(90));
    }
}
