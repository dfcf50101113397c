//! What a managed certificate needs next, decided and not done: when to renew it and why, in which
//! order its targets get it, when to go back, when the old version may go. Everything is a function
//! of what is stored, of the policy and of the time handed in; there is no clock, no randomness, no
//! socket and no key here. What looks random is derived from the row, so that asking twice gives
//! the same answer.

pub mod alarm;
pub mod forecast;
pub mod jitter;
pub mod moment;
pub mod need;
pub mod retry;
pub mod rotation;
pub mod wave;
pub mod window;

pub use moment::{Share, Suggestion};
pub use need::{Cause, Facts, Need, Version};
pub use rotation::{Course, Failure, Phase, Placement, Rotation, Step};
pub use window::Calendar;
