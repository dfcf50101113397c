//! Obtaining: where managed certificates come from outside of this node.

pub(crate) mod acme;
mod standing;

pub(crate) use standing::Issuers;
