//! Targets of kind `pull`: machines that nobody can push to. Nothing is brought there; they come and
//! take the version that is meant for them. Whether they did, only their addresses show.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::error::PushError;
use crate::{Delivery, Observed, Receipt, Target};

/// What a target of kind `pull` says: nothing of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pull {}

impl Pull {
    pub(crate) const FIELDS: &[&str] = &[];
}

impl Target for Pull {
    /// Does nothing: from when on the version may be taken is the caller's to say.
    fn push<'a>(
        &'a self,
        _: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }

    /// Cannot tell.
    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(Observed::Untold)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::{Kind, Observed, Spec};

    fn read(table: &str) -> Result<Spec, String> {
        toml::from_str(table).map_err(|error| error.to_string())
    }

    #[test]
    fn a_machine_that_pulls_has_ten_minutes_to_come_for_it() {
        let spec =
            read("name = \"edge\"\nkind = \"pull\"\nprobe = [\"10.0.0.5:443\"]").expect("a target");
        assert_eq!(spec.check(), Ok(()));
        assert!(matches!(spec.kind, Kind::Pull(_)));
        assert_eq!(spec.window(), SignedDuration::from_mins(10));
        let short = read("name = \"edge\"\nkind = \"pull\"\nwindow = \"30s\"").expect("a target");
        assert_eq!(short.window(), SignedDuration::from_secs(30));
    }

    #[test]
    fn what_it_says_is_stored_and_read_again() {
        let spec = read("name = \"edge\"\nkind = \"pull\"\nwindow = \"1h\"").expect("a target");
        let json = serde_json::to_value(&spec).expect("JSON");
        assert_eq!(serde_json::from_value::<Spec>(json).expect("a target"), spec);
    }

    #[test]
    fn there_is_no_place_to_name() {
        let error = read("name = \"edge\"\nkind = \"pull\"\npath = \"/a\"").expect_err("no path");
        assert!(error.contains("no field of kind \"pull\""), "{error}");
    }

    #[tokio::test]
    async fn it_cannot_tell_what_is_held() {
        let target = read("name = \"edge\"\nkind = \"pull\"").expect("a target").open();
        assert_eq!(target.observe().await.expect("an answer"), Observed::Untold);
    }
}
