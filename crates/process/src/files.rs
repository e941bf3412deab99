//! How many files the process may have open, connections among them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is left to everything but clients' connections: databases, other services, the broker, files.
const LEAST_RESERVE: u64 = 512;

/// Lets the process open as many files as its hard limit allows, and says how many those are; `None` for any number.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// How many connections a process may hold which may open `limit` files: an eighth, or 512 if that is more, is for all else; half of
/// few.
pub(crate) fn room_for_connections(limit: Option<u64>) -> usize {
    let room = limit.map_or(u64::MAX, |limit| {
        let reserve = LEAST_RESERVE.max(limit / 8);
        limit.saturating_sub(reserve).max(limit / 2)
    });
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        for (limit, room) in
            [(64, 32), (1_024, 512), (2_048, 1_536), (20_000, 17_500), (1_048_576, 917_504)]
        {
            assert_eq!(room_for_connections(Some(limit)), room, "{limit}");
        }
        assert_eq!(room_for_connections(None), usize::MAX);
    }

    #[test]
    fn the_limit_on_open_files_is_raised_as_far_as_it_goes() {
        let raised = raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((limit.current, limit.current), (limit.maximum, raised));
    }
}
