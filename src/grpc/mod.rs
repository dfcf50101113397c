//! What is served over gRPC: how a call is answered within its bounds, and the rooms of the services.
//! Messages are written by hand next to the service they belong to: they are few, and so nothing needs
//! a compiler for them.

mod kubernetes;
pub(crate) mod sds;
mod server;
mod socket;
pub(crate) mod sockets;

use std::future::Future;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// Answers a call of one message of at most `most` octets with one message, within the deadline it comes with or [`LONGEST`],
/// whichever is sooner.
async fn unary<Q, A, F>(request: Request, most: usize, answer: impl Fn(Q) -> F) -> Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    F: Future<Output = Result<A, Status>>,
{
    let limit = deadline(request.headers()).map_or(LONGEST, |asked| asked.min(LONGEST));
    let service = tower::service_fn(|call: tonic::Request<Q>| {
        let answered = answer(call.into_inner());
        async { answered.await.map(tonic::Response::new) }
    });
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default()).max_decoding_message_size(most);
    let answered = tokio::time::timeout(limit, grpc.unary(service, request)).await;
    answered.unwrap_or_else(|_| {
        Status::deadline_exceeded("there was no answer in time; try again").into_http()
    })
}

/// What there is no method for.
async fn unimplemented() -> Response<Body> {
    Status::unimplemented("there is no such method here").into_http()
}

/// How long the caller waits: digits and a unit (the header `grpc-timeout` of gRPC over HTTP/2).
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The status that an HTTP request with this outcome would have had, for what is counted of both.
fn as_http(response: &Response<Body>) -> StatusCode {
    // An answer that failed has its status in place of a body.
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |s| s.code());
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unimplemented => StatusCode::NOT_FOUND,
        Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// How long a call may take that sets no deadline, or a later one.
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn a_call_that_takes_longer_than_its_caller_waits_is_given_up() {
        // An empty message.
        let call = Request::builder().header("grpc-timeout", "50m");
        let call = call.body(axum::body::Body::from(&[0_u8; 5][..])).expect("a request");
        let never = |_: ()| std::future::pending::<Result<(), Status>>();
        let answered = tokio::time::timeout(Duration::from_secs(5), unary(call, 1024, never)).await;
        let status = Status::from_header_map(answered.expect("in time").headers());
        assert_eq!(status.expect("a status").code(), Code::DeadlineExceeded);
    }

    #[test]
    fn deadlines_are_read_and_nonsense_is_none() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            deadline(&headers)
        };
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        for nonsense in ["", "S", "5", "5s", "-5S", "+5S", "123456789S", "5 S"] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
    }
}
