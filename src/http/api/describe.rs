//! The description of the API, in OpenAPI 3.1: made of the routes, and of the structs that they take and
//! give. It says nothing of this node, and is the same for everybody.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::route::{On, Route};
use super::shape;

/// Something that has a schema.
pub(super) type Described = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, when it is asked for.
pub(super) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The document, as it is served.
pub(super) fn response(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The description of these routes.
pub(super) fn document(routes: &[Route]) -> Value {
    let mut schemas = Schemas::new();
    let problem = schemas.given.subschema_for::<shape::Problem>();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let operation = operation(route, &mut schemas);
        let path = paths.entry(format!("/api/v1{}", route.path)).or_default();
        path.insert(route.method.to_ascii_lowercase(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Perennial",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Certificates and signing keys: what stands, and what is to be done with it.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": { "Problem": {
                "description": "It was not done, and why.",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API token with a role, made by perennial token create.",
            }, "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "__Host-perennial-session",
                "description": "The session of a person, for the pages of this server. What changes \
                                something carries X-CSRF-Token too.",
            } },
        },
    })
}

/// What is asked for and what is given may look differently: a field with a default need not be sent and
/// is always there.
struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        let given = settings().with(|settings| settings.contract = Contract::Serialize);
        Self { taken: settings().into_generator(), given: given.into_generator() }
    }

    fn all(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.given.take_definitions(true));
        all
    }
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut responses = json!({ "200": answer(route, &mut schemas.given) });
    for status in statuses(route) {
        responses[status] = json!({ "$ref": "#/components/responses/Problem" });
    }
    let mut operation = json!({
        "operationId": identity(route),
        "summary": route.summary,
        "tags": [route.path.split('/').nth(1).unwrap_or_default()],
        "parameters": parameters(route, &mut schemas.taken),
        "responses": responses,
        "x-perennial-action": route.action.name(),
    });
    if let Some(taken) = route.taken {
        let schema = taken(&mut schemas.taken);
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

fn answer(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let schema = route.given.map_or_else(|| json!({}), |given| given(generator).to_value());
    json!({ "description": "Done.", "content": { (route.form): { "schema": schema } } })
}

/// What may be answered instead.
fn statuses(route: &Route) -> Vec<&'static str> {
    let mut statuses = vec!["400", "401", "403", "default"];
    if matches!(route.on, On::Named(_) | On::Body) {
        statuses.push("404");
    }
    if route.method != "GET" {
        statuses.extend(["409", "412", "413", "415", "422", "429"]);
    }
    statuses
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> = names
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    let Some(asked) = route.asked else { return parameters };
    let schema = asked(generator).to_value();
    // It was made a definition, of which every field is a parameter of its own.
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let definition = name.and_then(|name| generator.definitions().get(name)).cloned();
    let definition = definition.unwrap_or(schema);
    for (name, schema) in definition["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let described = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let required = definition["required"].as_array().into_iter().flatten();
        let required = required.into_iter().any(|known| known == name);
        let mut parameter =
            json!({ "name": name, "in": "query", "required": required, "schema": schema });
        if let Some(text) = described {
            parameter["description"] = text;
        }
        parameters.push(parameter);
    }
    parameters
}

/// What generated clients call it: `get-managed-name`, `post-managed-name-renew`.
fn identity(route: &Route) -> String {
    let path = route.path.replace(['{', '}'], "").replace('/', "-");
    format!("{}{path}", route.method.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::route::routes;
    use super::*;

    #[test]
    fn every_route_is_described_with_its_answer_its_action_and_what_it_takes() {
        let routes = routes();
        let document = document(&routes);
        for route in &routes {
            let path = format!("/api/v1{}", route.path);
            let operation = &document["paths"][&path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["x-perennial-action"], route.action.name(), "{path}");
            let answer = &operation["responses"]["200"]["content"][route.form]["schema"];
            assert!(
                answer.as_object().is_some_and(|answer| !answer.is_empty()),
                "{path} has no answer"
            );
            let names = route.path.matches('{').count();
            let parameters = operation["parameters"].as_array().expect("parameters");
            assert_eq!(parameters.iter().filter(|p| p["in"] == "path").count(), names, "{path}");
        }
        let mut identities: Vec<_> = routes.iter().map(identity).collect();
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), routes.len());
    }

    #[test]
    fn what_is_referred_to_is_there() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document(&routes());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("in the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
