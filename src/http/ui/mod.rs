//! The dashboard: pages for people, made of what the API answers to them. Nothing is decided here: a page asks
//! the API as whoever looks at it, an action is done by the API, and where either refuses, so does the page.

mod act;
mod deed;
mod desk;
mod events;
mod show;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};

use self::events::Streams;
use super::api::{self, Entry};
use crate::node::Node;

/// What every page is made with.
struct Ui {
    node: Arc<Node>,
    /// The API, in this process.
    api: Router,
    entry: Entry,
    streams: Arc<Streams>,
}

/// The pages, for those who come in at `entry`.
pub(super) fn router(node: &Arc<Node>, entry: Entry) -> Router<Arc<Node>> {
    let ui = Arc::new(Ui {
        node: Arc::clone(node),
        api: api::router(node, entry).with_state(Arc::clone(node)),
        entry,
        streams: Arc::default(),
    });
    Router::new()
        .route("/", get(show::overview))
        .route("/certificates", get(show::managed))
        .route("/certificates/{name}", get(show::managed_one))
        .route("/issued", get(show::issued))
        .route("/issued/{serial}", get(show::issued_one))
        .route("/keysets", get(show::keysets))
        .route("/keysets/{name}", get(show::keyset))
        .route("/authorities", get(show::authorities))
        .route("/authorities/{name}", get(show::authority))
        .route("/targets", get(show::targets))
        .route("/targets/{name}", get(show::target))
        .route("/found", get(show::found))
        .route("/found/{id}", get(show::found_one))
        .route("/endpoints", get(show::endpoints))
        .route("/endpoints/{name}", get(show::endpoint))
        .route("/audit", get(show::audit))
        .route("/audit/{id}", get(show::event))
        .route("/access", get(show::access))
        .route("/certificates/{name}/{verb}", get(act::ask).post(act::perform))
        .route("/keysets/{name}/{verb}", get(act::ask).post(act::perform))
        .route("/issued/{name}/{verb}", get(act::ask).post(act::perform))
        .route("/access/tokens/{name}/{verb}", get(act::ask).post(act::perform))
        .route("/access/receivers/{name}/{verb}", get(act::ask).post(act::perform))
        .route("/session/end", post(act::sign_out))
        .route("/ui/events", get(events::stream))
        .layer(from_fn(closed))
        .route("/ui/{file}", get(asset))
        .with_state(ui)
}

/// What browsers are told of every page: it loads nothing from elsewhere, is framed nowhere, kept nowhere. The
/// origin of a form is sent to ourselves, or it could not be checked.
async fn closed(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// A file that pages name: its address changes with what it says.
async fn asset(Path(file): Path<String>) -> Response<Body> {
    let Some(asset) = pages::asset(&file) else {
        let mut response = Response::new(Body::from("there is nothing here"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Body::from(asset.text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

#[cfg(test)]
mod tests;
