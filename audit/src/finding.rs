//! What can be wrong with a log, in words that name the first event that it is about.

use std::fmt;

/// Something that is not as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An event is not what was hashed.
    Changed {
        /// Which.
        event: i64,
    },
    /// An event stands where another belongs.
    Reordered {
        /// Which.
        event: i64,
        /// Where it belongs.
        belongs: i64,
    },
    /// An event is there that was never hashed.
    Inserted {
        /// Which.
        event: i64,
    },
    /// Events were hashed and are gone, and not by retention.
    Removed {
        /// The first of them.
        first: i64,
        /// The last of them.
        last: i64,
    },
    /// The hashes of leaves are gone.
    Unhashed {
        /// The place of the first.
        first: u64,
        /// The place of the last.
        last: u64,
    },
    /// The hash of a subtree is not that of its leaves.
    Subtree {
        /// The place of its first leaf.
        first: u64,
        /// The place of its last leaf.
        last: u64,
    },
    /// Events and hashes agree, but not with what was signed: both were made anew.
    Rewritten {
        /// The first event that may have been.
        first: i64,
        /// The last event that was signed so.
        last: i64,
        /// How large the tree was then.
        size: u64,
    },
    /// What was signed is larger than what is there.
    Cut {
        /// How large the tree was when it was signed.
        size: u64,
        /// How large it is.
        left: u64,
    },
    /// A checkpoint is not signed as it should be.
    Unsigned {
        /// How large the tree was.
        size: u64,
    },
}

impl Finding {
    /// The event it is about, where it names one.
    pub fn event(&self) -> Option<i64> {
        match *self {
            Self::Changed { event } | Self::Reordered { event, .. } | Self::Inserted { event } => {
                Some(event)
            }
            Self::Removed { first, .. } | Self::Rewritten { first, .. } => Some(first),
            _ => None,
        }
    }

    /// Whether all that is known is between which events it is.
    pub fn is_broad(&self) -> bool {
        matches!(self, Self::Rewritten { .. })
    }

    /// A word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "changed",
            Self::Reordered { .. } => "reordered",
            Self::Inserted { .. } => "inserted",
            Self::Removed { .. } => "removed",
            Self::Unhashed { .. } => "unhashed",
            Self::Subtree { .. } => "subtree",
            Self::Rewritten { .. } => "rewritten",
            Self::Cut { .. } => "cut",
            Self::Unsigned { .. } => "unsigned",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Changed { event } => write!(f, "event {event} was changed"),
            Self::Reordered { event, belongs } if event == belongs => {
                write!(f, "event {event} was reordered: its hash stands in another place")
            }
            Self::Reordered { event, belongs } => {
                write!(f, "event {event} was reordered: it was recorded as event {belongs}")
            }
            Self::Inserted { event } => {
                write!(f, "event {event} was inserted: it was never recorded")
            }
            Self::Removed { first, last } if first == last => {
                write!(f, "event {first} was removed")
            }
            Self::Removed { first, last } => write!(f, "events {first} to {last} were removed"),
            Self::Unhashed { first, last } => {
                write!(f, "the hashes of leaves {first} to {last} were removed")
            }
            Self::Subtree { first, last } => {
                write!(f, "the hash over leaves {first} to {last} was changed")
            }
            Self::Rewritten { first, last, size } => write!(
                f,
                "an event from {first} to {last} was changed and hashed anew: the checkpoint of \
                 {size} events was signed over another log"
            ),
            Self::Cut { size, left } => {
                write!(
                    f,
                    "the last {} events were removed: {size} were signed",
                    size.saturating_sub(left)
                )
            }
            Self::Unsigned { size } => {
                write!(f, "the checkpoint of {size} events was changed, or signed by another key")
            }
        }
    }
}
