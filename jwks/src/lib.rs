//! The signing keys of a JWT issuer: which phase each is in and what it needs next, how long a key
//! must be announced before it signs and verify after it has signed, computed from who consumes the
//! set; what is published; and which tokens may be signed. Everything is a function of what is
//! stored, of the policy and of the time handed in. There is no clock, no socket and no store here;
//! randomness is drawn only inside aws-lc-rs, for keys and signatures.

pub mod algorithm;
pub mod consumer;
pub mod discovery;
pub mod elsewhere;
pub mod emergency;
pub mod export;
pub mod forecast;
pub mod handover;
pub mod id_token;
mod json;
pub mod jwk;
pub mod key;
pub mod keyset;
pub mod kubernetes;
pub mod naming;
mod phase;
pub mod policy;
mod public_key;
mod redeclaration;
pub mod set;
pub mod sighting;
mod spki;
pub mod token;
pub mod transition;
pub mod window;

pub use algorithm::Algorithm;
pub use consumer::Consumer;
pub use elsewhere::{Holding, SignerTarget};
pub use jwk::{Jwk, Kid, PublicKey};
pub use key::PrivateKey;
pub use keyset::{Key, Keyset, Phase, Step, next};
pub use naming::Naming;
pub use policy::{Policy, Settings};
pub use set::{Bundle, Published, Served};
pub use token::{Bounds, Payload, Signer};
