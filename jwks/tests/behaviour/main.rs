//! What `jwks` decides, publishes and signs, shown from outside.

mod keys;
