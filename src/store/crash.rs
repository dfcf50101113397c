//! For tests: the process dies at a commit, before it is stored or just after. What is stored then
//! is what the next start finds.

use std::sync::Mutex;

/// When the process dies.
#[derive(Debug, Default)]
pub(super) struct Crash(Mutex<Option<State>>);

#[derive(Debug)]
struct State {
    /// Commits that still succeed.
    left: u32,
    /// Whether the fatal one is lost, or stored and not acknowledged.
    lost: bool,
    /// Whether it has happened: nothing more is written then.
    dead: bool,
}

impl Crash {
    /// Plans a crash, or none; gives whether the one planned before had happened.
    pub(super) fn set(&self, plan: Option<(u32, bool)>) -> bool {
        let state = plan.map(|(left, lost)| State { left, lost, dead: false });
        let before = std::mem::replace(&mut *self.0.lock().expect("no panic"), state);
        before.is_some_and(|state| state.dead)
    }

    /// Whether a commit fails here: asked once before it is stored and once after.
    pub(super) fn strikes(&self, before: bool) -> bool {
        let mut guard = self.0.lock().expect("no panic");
        let Some(state) = guard.as_mut() else { return false };
        if state.dead {
            return true;
        }
        if before && !(state.left == 0 && state.lost) {
            return false;
        }
        if state.left > 0 {
            state.left -= 1;
            return false;
        }
        state.dead = true;
        true
    }
}
