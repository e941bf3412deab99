//! The whole stack, through its public surfaces only.
