//! The reasons that this crate gives for an error, as programs see them: in gRPC the `reason` of `google.rpc.ErrorInfo`, in the REST
//! API the problem's `code` in lower case. Services add their own, beside the use case that gives them.

/// The request cannot be parsed (a cursor, an encoding).
pub const MALFORMED: &str = "MALFORMED";
/// The request can be parsed and fields of it are wrong; each has a code of its own.
pub const INVALID: &str = "INVALID";
/// The method needs an access token and none came.
pub const TOKEN_MISSING: &str = "TOKEN_MISSING";
/// The access token is none of ours, or was changed, or is not meant for this.
pub const TOKEN_INVALID: &str = "TOKEN_INVALID";
/// The access token was good once.
pub const TOKEN_EXPIRED: &str = "TOKEN_EXPIRED";
/// The access token has not expired, but its session was ended or its user deactivated.
pub const TOKEN_REVOKED: &str = "TOKEN_REVOKED";
/// The caller is known and may not do this.
pub const DENIED: &str = "DENIED";
/// There is no such thing, or the caller may not see it.
pub const NOT_FOUND: &str = "NOT_FOUND";
/// The record has changed since the caller read it.
pub const STALE: &str = "STALE";
/// Something that is needed does not answer at the moment.
pub const UNAVAILABLE: &str = "UNAVAILABLE";
/// More requests than can be served; this one was not begun.
pub const OVERLOADED: &str = "OVERLOADED";
/// The deadline passed before there was an answer.
pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
/// The connection broke between the request and its answer.
pub const CONNECTION_LOST: &str = "CONNECTION_LOST";
/// A write may or may not have happened: try again with the same idempotency key.
pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// There is no such method.
pub const UNIMPLEMENTED: &str = "UNIMPLEMENTED";
/// A defect on our side; the log has more.
pub const INTERNAL: &str = "INTERNAL";
