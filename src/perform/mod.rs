//! The steps: what the worker and the handlers let happen in the world outside.

pub(crate) mod validate;
