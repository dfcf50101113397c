//! The movement of every server that reads certificates from disk: look, put the files in place, have
//! them read, and put the previous ones back where that fails. A kind says only what is its own in it.

use std::future::{Future, ready};
use std::pin::Pin;

use crate::error::PushError;
use crate::placement::Placement;
use crate::{Delivery, Observed, Receipt, Target};

/// A server that reads files.
pub(crate) trait Server: Send + Sync {
    /// Where they go, as declared.
    fn placement(&self) -> &Placement;

    /// Finds out, before anything is touched, whether the server could read what will be there, and
    /// fills in what the declaration leaves to it.
    fn prepare(&self) -> impl Future<Output = Result<Placement, PushError>> + Send {
        ready(Ok(self.placement().clone()))
    }

    /// Has the server read the files that are in place now. What fails before it was told is
    /// [untouched](PushError::untouched).
    fn tell(&self) -> impl Future<Output = Result<String, PushError>> + Send;
}

impl<S: Server> Target for S {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(async move {
            let placement = self.prepare().await.map_err(PushError::untouched)?;
            let placed = placement.put(delivery).await?;
            let told = self.tell().await;
            placed.keep_if(told).await
        })
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        Box::pin(self.placement().observe())
    }
}
