//! What is found in use, wherever it is: at addresses, in files, in Secrets; managed or not. A finding is
//! what somebody saw at a place; assessing it says what it is and what is wrong with it. Whoever
//! looks is in [`scan`]; what is known is kept by the store.

mod assess;
mod finding;
pub(crate) mod scan;
mod trust;

pub(crate) use assess::{Assessed, assess};
pub(crate) use finding::{Finding, tls_place};
pub(crate) use trust::{system_roots, trusted};
