//! What is decided on rows as they were read, and stored only if nobody changed them meanwhile, is
//! decided again where somebody did.

use std::time::Duration;

use crate::store::CommitError;

/// Whether an error says that somebody was quicker.
pub(crate) trait Conflicts {
    /// Whether reading again may help.
    fn is_conflict(&self) -> bool;
}

impl Conflicts for CommitError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}

/// Does what reads, decides and commits; anew, while somebody else changes what was read. Each attempt
/// must read everything it decides on.
///
/// # Errors
/// Those of the last attempt; a conflict only after many.
pub(crate) async fn again<T, E: Conflicts, F: Future<Output = Result<T, E>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if error.is_conflict() && tries < TRIES => {
                // Whoever was quicker is done in a moment.
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn with(conflicts: u32, then: Result<u32, CommitError>) -> (Result<u32, String>, u32) {
        let tries = AtomicU32::new(0);
        let outcome = again(|| async {
            match tries.fetch_add(1, Ordering::SeqCst) {
                before if before < conflicts => Err(CommitError::Conflict),
                _ => then.clone(),
            }
        });
        let outcome = outcome.await.map_err(|error| error.to_string());
        (outcome, tries.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_conflict_is_tried_again_and_nothing_else_is() {
        assert_eq!(with(0, Ok(7)).await, (Ok(7), 1));
        assert_eq!(with(3, Ok(7)).await, (Ok(7), 4));
        assert_eq!(with(1, Err(CommitError::Full)).await.1, 2);
        let (outcome, tries) = with(1000, Ok(7)).await;
        assert!(outcome.expect_err("it gives up").contains("at the same time"));
        assert_eq!(tries, TRIES);
    }
}
