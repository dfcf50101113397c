//! Who asks, and what they may. Every request to the API is a [`Caller`] who wants an [`Action`] on a
//! [`Resource`], and [`Rules`] alone decide. Nothing here knows how a request came or what it does.

mod action;
mod approval;
mod caller;
mod role;
mod rules;

pub(crate) use ::policy::{Binding, Policy, Resource};
pub(crate) use action::Action;
pub(crate) use approval::{ApprovalSpec, Needed};
pub(crate) use caller::{Asker, Caller, Who};
pub(crate) use role::Role;
pub(crate) use rules::{Denied, Fault, Rules, schema};
