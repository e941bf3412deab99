//! The edge: proto in, one call, proto out.

pub mod notification;
