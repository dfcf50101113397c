//! What is given to those who watch: alert rules, runbooks, dashboards. They are tested with the programs
//! that will read them, and against what a real node shows after real work.

mod dashboards;
mod metrics;
mod rules;
mod runbooks;
