//! Obtaining: where managed certificates come from outside of this node.

#[allow(dead_code, reason = "what calls it, the renewal of managed certificates, comes next")]
pub(crate) mod acme;
