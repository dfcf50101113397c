//! Where a page sits: who looks at it, and the way by which it asks the API as them. The API hears what the
//! browser said (token, cookie, origin), and decides as if it had been asked from outside.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use pages::{Field, Frame, Markup, Powers, Section, Visitor, segment};
use serde_json::Value;
use tower::ServiceExt;

use super::Ui;
use crate::access::{Action, Asker};
use crate::http::RequestId;
use crate::http::api;
use crate::http::bearer::Refusal;
use crate::node::Node;

/// Who looks at a page, and how it asks for what it shows.
pub(super) struct Desk {
    pub(super) ui: Arc<Ui>,
    pub(super) asker: Asker,
    pub(super) visitor: Visitor,
    /// What the address asks for.
    pub(super) query: Vec<(String, String)>,
    head: Parts,
}

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

/// A page, but for its content: title, place, and the kinds of things it is brought up to date by.
pub(super) struct Place<'a>(
    pub(super) &'a str,
    pub(super) Section,
    pub(super) &'static [&'static str],
);

impl Desk {
    /// For whoever made a request, if it is somebody.
    ///
    /// # Errors
    /// What to answer when it is nobody.
    pub(super) async fn open(ui: &Arc<Ui>, parts: &mut Parts) -> Result<Self, Response<Body>> {
        let asker = match api::recognise(&ui.node, ui.entry, parts).await {
            Ok(asker) => asker,
            Err(Refusal::Stranger) => {
                return Err(stranger(&ui.node, parts.uri.path() == "/"));
            }
            Err(refusal) => return Err(refusal.response()),
        };
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query = url::form_urlencoded::parse(query).into_owned().collect();
        let head = as_asked(parts);
        let may = Action::ALL.iter().filter(|action| asker.may_any(**action).is_ok());
        let visitor = Visitor {
            name: asker.caller().who.to_string(),
            roles: asker.caller().roles.iter().map(ToString::to_string).collect(),
            may: may.map(|action| action.name()).collect(),
            ..Visitor::default()
        };
        let mut desk = Self { ui: Arc::clone(ui), asker, visitor, query, head };
        if let Ok(session) = desk.get("/session").await {
            let csrf = session.text("csrf_token");
            desk.visitor.signed_in = !csrf.is_empty();
            desk.visitor.csrf = Some(csrf.to_owned()).filter(|csrf| !csrf.is_empty());
        }
        Ok(desk)
    }

    /// The node.
    pub(super) fn node(&self) -> &Arc<Node> {
        &self.ui.node
    }

    /// What the address asks for as `name`.
    pub(super) fn asked(&self, name: &str) -> &str {
        self.query.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// What the API shows at `path`.
    ///
    /// # Errors
    /// What the API says it cannot, or may not.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Trouble> {
        json(self.send(Method::GET, path, None).await).await
    }

    /// The same, where it may be seen.
    pub(super) async fn maybe(&self, path: &str) -> Result<Option<Value>, Trouble> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(trouble) if trouble.status == StatusCode::FORBIDDEN => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// A page of the list at `path`, by those of `filters` that the address has.
    pub(super) async fn list(&self, path: &str, filters: &[&str]) -> Result<Value, Trouble> {
        let mut query = format!("limit={PAGE}");
        for name in filters.iter().copied().chain(["after"]) {
            let value = self.asked(name);
            if !value.is_empty() {
                query = format!("{query}&{name}={}", segment(value));
            }
        }
        self.get(&format!("{path}?{query}")).await
    }

    /// Has the API do what `path` does.
    ///
    /// # Errors
    /// Why it did not.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        json(self.send(Method::POST, path, Some(body)).await).await
    }

    /// The API's own answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Response<Body> {
        let mut head = self.head.clone();
        head.method = method;
        head.uri = match format!("/api/v1{path}").parse() {
            Ok(uri) => uri,
            Err(_) => return crate::http::error::response(&unknown()),
        };
        let body = match body {
            Some(body) => {
                head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        match self.ui.api.clone().oneshot(Request::from_parts(head, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Those of `actions` that whoever looks may do to the thing of this kind and name.
    pub(super) fn powers(&self, actions: &[Action], thing: (&'static str, &str)) -> Powers {
        let names: Vec<_> = actions.iter().map(|action| action.name()).collect();
        let may = |name: &str| {
            let action = actions.iter().find(|action| action.name() == name);
            action.is_some_and(|action| api::may(self.node(), &self.asker, *action, thing))
        };
        Powers::of(&names, may)
    }

    /// Those of `actions` that whoever looks may do to something.
    pub(super) fn powers_anywhere(&self, actions: &[Action]) -> Powers {
        let names: Vec<_> = actions.iter().map(|action| action.name()).collect();
        Powers::of(&names, |name| self.visitor.may.contains(name))
    }

    /// What is around a page at `place`.
    pub(super) fn frame<'a>(&'a self, place: &Place<'a>) -> Frame<'a> {
        let done = DONE.iter().find(|(name, _)| *name == self.asked("done"));
        Frame {
            title: place.0,
            section: place.1,
            visitor: &self.visitor,
            now: self.node().world.now(),
            live: place.2,
            done: done.map(|(_, said)| *said),
        }
    }

    /// The whole page, or why there is none.
    pub(super) fn answer(
        &self,
        place: &Place<'_>,
        content: Result<Markup, Trouble>,
    ) -> Response<Body> {
        let frame = self.frame(place);
        match content {
            Ok(content) => html(StatusCode::OK, &pages::page(&frame, &content)),
            Err(Trouble { status, detail }) => {
                let title = match status {
                    StatusCode::FORBIDDEN => "You may not see or do this",
                    StatusCode::NOT_FOUND => "There is no such thing",
                    _ => "This cannot be shown",
                };
                html(status, &pages::page(&frame, &pages::trouble(title, &detail)))
            }
        }
    }
}

impl FromRequestParts<Arc<Ui>> for Desk {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, Self::Rejection> {
        Self::open(ui, parts).await
    }
}

impl Trouble {
    /// Nothing is there.
    pub(super) fn missing() -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: "It was never there, or is gone.".into() }
    }
}

/// A page as a response.
pub(super) fn html(status: StatusCode, page: &Markup) -> Response<Body> {
    let mut response = Response::new(Body::from(page.0.clone()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Sends the browser to `path`, which it gets (RFC 9110 §15.4.4).
pub(super) fn see_other(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// What of a request the API is told: who asks, from where, and which request it is.
fn as_asked(parts: &Parts) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    for name in [AUTHORIZATION, COOKIE, ORIGIN, FETCH_SITE, CSRF_HEADER] {
        for value in parts.headers.get_all(&name) {
            head.headers.append(name.clone(), value.clone());
        }
    }
    if let Some(id) = parts.extensions.get::<RequestId>() {
        head.extensions.insert(id.clone());
    }
    head
}

async fn json(response: Response<Body>) -> Result<Value, Trouble> {
    let status = response.status();
    let body = response.into_body().collect().await.map(|body| body.to_bytes());
    let value: Value = match body.map(|body| serde_json::from_slice(&body)) {
        Ok(Ok(value)) => value,
        _ => Value::Null,
    };
    if status.is_success() {
        return Ok(value);
    }
    Err(Trouble { status, detail: value.text("detail").to_owned() })
}

fn stranger(node: &Node, front: bool) -> Response<Body> {
    let of = |name: &String| format!("{}/acme/{name}/directory", node.https_url);
    let directories: Vec<_> = node.catalog.load().directories.keys().map(of).collect();
    let roots = format!("{}/pki/bundle.pem", node.https_url);
    let status = if front { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    html(status, &pages::stranger(&directories, &roots, Some("/sign-in")))
}

fn unknown() -> Problem {
    Problem::new(ProblemType::Malformed, "there is no such thing").with_status(404)
}

/// Rows of a page of a list.
const PAGE: &str = "50";
pub(super) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What is said of what was just done, by the name that the address has.
const DONE: [(&str, &str); 8] = [
    ("renew", "The renewal has begun; it is proven on every target below."),
    ("emergency", "The emergency rotation has begun."),
    ("rollback", "The way back has begun."),
    ("rotate", "The rotation has begun."),
    ("withdraw", "The announced key is withdrawn."),
    ("revoke", "It is revoked."),
    ("test", "The test message was taken."),
    ("end", "You are signed out."),
];
