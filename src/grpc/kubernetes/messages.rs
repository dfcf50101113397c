//! The messages of `v1.ExternalJWTSigner` (KEP-740), as far as both sides say them: numbers and types
//! of the fields are the protocol's.

/// What is to be signed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SignRequest {
    /// The second segment of the JWT, as it will stand there.
    #[prost(string, tag = "1")]
    pub(super) claims: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SignResponse {
    /// The first segment.
    #[prost(string, tag = "1")]
    pub(super) header: String,
    /// The third.
    #[prost(string, tag = "2")]
    pub(super) signature: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FetchKeysRequest {}

/// The keys that verify.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FetchKeysResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) keys: Vec<Key>,
    /// By which its operators tell whether kube-apiserver has the newest: when the set changed last.
    #[prost(message, optional, tag = "2")]
    pub(super) data_timestamp: Option<Timestamp>,
    /// More than zero.
    #[prost(int64, tag = "3")]
    pub(super) refresh_hint_seconds: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Key {
    #[prost(string, tag = "1")]
    pub(super) key_id: String,
    /// A `SubjectPublicKeyInfo` in DER.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) key: Vec<u8>,
    /// Nothing may be signed with it then.
    #[prost(bool, tag = "3")]
    pub(super) exclude_from_oidc_discovery: bool,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetadataRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetadataResponse {
    /// At least 600.
    #[prost(int64, tag = "1")]
    pub(super) max_token_expiration_seconds: i64,
}
