//! What clients send, parsed strictly (RFC 8555 §7): each type here exists only if the payload was
//! right. Members a request does not define are ignored, as the RFC demands. Policy, limits by
//! account and everything that needs the store are the caller's.

mod account;
mod contact;
mod order;
mod other;

pub use account::{AccountUpdate, NewAccount, OrdersQuery};
pub use contact::Contact;
pub use order::{DEFAULT_MAX_IDENTIFIERS, NewAuthorization, NewOrder, parse_identifier};
pub use other::{AuthorizationUpdate, ChallengeResponse, Finalize, RevokeCertificate, post_as_get};
