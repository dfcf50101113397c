//! How much of an answer is read, and what is said when none comes.

use std::error::Error;

use reqwest::Response;
use zeroize::Zeroizing;

/// The body of an answer, of so many octets at most.
pub(super) async fn body(
    mut response: Response,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, String> {
    // Room for all of it at once: what grows leaves copies behind.
    let length = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Zeroizing::new(Vec::with_capacity(length.unwrap_or_default().min(most)));
    while let Some(piece) = response.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + piece.len() > most {
            return Err(format!("the answer has more than {most} octets"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The innermost cause, which says most and names no URL.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
