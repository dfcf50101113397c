//! Actions: a page that says what will happen, with a form; and what the form asks the API to do. Whether it may
//! be done is the API's to say, here as anywhere.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use pages::Section;

use super::Ui;
use super::deed::{self, Planned};
use super::desk::{CSRF_HEADER, Desk, Place, Trouble, html, see_other};

type Form = Vec<(String, String)>;

/// What will happen to a thing if something is done to it.
pub(super) async fn ask(
    Path((name, verb)): Path<(String, String)>,
    uri: Uri,
    desk: Desk,
) -> Response<Body> {
    shown(&desk, (kind(&uri), &name, &verb)).await
}

/// Does it.
pub(super) async fn perform(
    State(ui): State<Arc<Ui>>,
    Path((name, verb)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    let uri = request.uri().clone();
    done(&ui, (kind(&uri), &name, &verb), request).await
}

/// What kind of thing an address is about: `/certificates/shop/renew`, `/access/tokens/ci/revoke`.
fn kind(uri: &Uri) -> &str {
    uri.path().rsplit('/').nth(2).unwrap_or_default()
}

/// Ends the session, and has the browser forget it.
pub(super) async fn sign_out(State(ui): State<Arc<Ui>>, request: Request) -> Response<Body> {
    let desk = match opened(&ui, request).await {
        Ok((desk, _)) => desk,
        Err(response) => return response,
    };
    let answer = desk.send(Method::POST, "/session/end", None).await;
    if !answer.status().is_success() {
        let detail = "You are still signed in: the request was not one of this page.".to_owned();
        let trouble = Trouble { status: answer.status(), detail };
        return desk.answer(&Place("Sign out", Section::Nowhere, &[]), Err(trouble));
    }
    let mut response = see_other("/");
    if let Some(cookie) = answer.headers().get(header::SET_COOKIE) {
        response.headers_mut().insert(header::SET_COOKIE, cookie.clone());
    }
    response
}

async fn shown(desk: &Desk, what: (&str, &str, &str)) -> Response<Body> {
    match deed::plan(desk, what).await {
        Ok(planned) => page(desk, &planned, StatusCode::OK, None),
        Err(trouble) => desk.answer(&Place(what.1, Section::Nowhere, &[]), Err(trouble)),
    }
}

async fn done(ui: &Arc<Ui>, what: (&str, &str, &str), request: Request) -> Response<Body> {
    let (desk, form) = match opened(ui, request).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let planned = match deed::plan(&desk, what).await {
        Ok(planned) => planned,
        Err(trouble) => return desk.answer(&Place(what.1, Section::Nowhere, &[]), Err(trouble)),
    };
    match desk.post(&planned.api, &planned.body(&form)).await {
        Ok(_) => see_other(&format!("{}?done={}", planned.back, planned.done)),
        Err(Trouble { status, detail }) => page(&desk, &planned, status, Some(&detail)),
    }
}

fn page(desk: &Desk, planned: &Planned, status: StatusCode, error: Option<&str>) -> Response<Body> {
    let place = Place(&planned.title, planned.section, &[]);
    let content = pages::confirm(&desk.visitor, &planned.deed(error));
    html(status, &pages::page(&desk.frame(&place), &content))
}

/// Who sent a form, and what it says. What proves that a page of ours made it is in the form; the API wants it
/// in a header.
async fn opened(ui: &Arc<Ui>, request: Request) -> Result<(Desk, Form), Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let Ok(bytes) = Limited::new(body, MAX_FORM).collect().await else {
        let mut response = Response::new(Body::from("the form is too long"));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(response);
    };
    let form: Form = url::form_urlencoded::parse(&bytes.to_bytes()).into_owned().collect();
    parts.headers.remove(CSRF_HEADER);
    let csrf = form.iter().find(|(name, _)| name == "csrf");
    if let Some(Ok(csrf)) = csrf.map(|(_, value)| HeaderValue::from_str(value)) {
        parts.headers.insert(CSRF_HEADER, csrf);
    }
    let desk = Desk::open(ui, &mut parts).await?;
    Ok((desk, form))
}

const MAX_FORM: usize = 16 * 1024;
