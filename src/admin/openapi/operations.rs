//! Every request that the API takes, with what it asks for and all it may be answered.

use serde_json::{Value, json};

use super::parameters::{of_path, of_query, source_or_block};
use super::refusals::ANY;
use super::schemas::Schemas;
use crate::admin::api::{EventDetail, Reloaded, Reoffered, Status};
use crate::admin::changes::{ChangeRequest, Step};
use crate::admin::recovery::RecoverRequest;
use crate::admin::series::SeriesAnswer;
use crate::admin::spilled::{SpillShown, SpilledPushes};
use crate::admin::stream::message::{Gap, Position, Waiting};
use crate::admin::subjects::{SubjectDetail, SubjectShown};
use crate::admin::unreadable::{BoxRequest, BoxStep, DropRequest, Dropped};
use crate::inbox::query::{AuditRow, DeliveryRow, EventRow, Page, UnreadableRow};
use crate::inbox::search::Searched;
use crate::inbox::spill::Drained;
use crate::recover::Progress;

/// One request.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    pub(super) told: Value,
}

impl Operation {
    fn get(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(("get", path), id, summary)
    }

    fn post(path: &'static str, id: &str, summary: &str) -> Self {
        Self::new(("post", path), id, summary)
    }

    fn new((method, path): (&'static str, &'static str), id: &str, summary: &str) -> Self {
        let names = path
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'));
        let parameters: Vec<Value> = names.map(|(name, _)| of_path(name)).collect();
        let told = json!({
            "operationId": id,
            "summary": summary,
            "parameters": parameters,
            "responses": {},
        });
        let operation = Self { path, method, told };
        operation.may(&ANY)
    }

    /// It may be refused with these.
    fn may(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            let status = status.to_string();
            let refusal = json!({ "$ref": format!("#/components/responses/{status}") });
            self.told["responses"][status] = refusal;
        }
        self
    }

    /// Its query may hold these.
    fn asks(self, names: &[&str]) -> Self {
        names
            .iter()
            .fold(self, |operation, name| operation.with(of_query(name)))
    }

    /// It takes this parameter.
    fn with(mut self, parameter: Value) -> Self {
        if let Some(parameters) = self.told["parameters"].as_array_mut() {
            parameters.push(parameter);
        }
        self
    }

    /// It has a body.
    fn takes(mut self, schema: Value) -> Self {
        self.told["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema } },
        });
        self.may(&[413])
    }

    fn gives(self, schema: Value) -> Self {
        self.gives_as("application/json", json!({ "schema": schema }))
    }

    fn gives_as(mut self, media: &str, content: Value) -> Self {
        self.told["responses"]["200"] = json!({
            "description": "As asked.",
            "content": { media: content },
        });
        self
    }

    /// The exact bytes of a body, whatever they are.
    fn gives_bytes(mut self) -> Self {
        self.told["responses"]["200"] = json!({
            "description": "The bytes as they came, to be saved.",
            "headers": { "Content-Disposition": {
                "required": true,
                "schema": { "type": "string", "pattern": "^attachment; filename=" },
            } },
            "content": { "application/octet-stream": {} },
        });
        self
    }
}

/// All of them.
pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = about_the_service(schemas);
    all.extend(about_events(schemas));
    all.extend(changes(schemas));
    all.extend(about_the_box(schemas));
    all.extend(sessions());
    all
}

fn about_the_service(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/status", "status", "The service at a glance")
            .gives(schemas.answer::<Status>()),
        Operation::get("/api/v1/series", "series", "The last hour by the minute")
            .gives(schemas.answer::<SeriesAnswer>()),
        Operation::get("/api/v1/openapi.json", "openapi", "This document")
            .gives(json!({ "type": "object", "required": ["openapi", "paths"] })),
        Operation::post("/api/v1/reload", "reload", "Re-reads the configuration")
            .gives(schemas.answer::<Reloaded>())
            .may(&[422]),
        Operation::get(
            "/api/v1/recover",
            "recovered",
            "How the last look into the history goes",
        )
        .gives(schemas.answer::<Progress>()),
        Operation::post(
            "/api/v1/recover",
            "recover",
            "Fetches from the sender's history",
        )
        .takes(schemas.body::<RecoverRequest>())
        .gives(schemas.answer::<Progress>())
        .may(&[409, 422]),
        Operation::get(
            "/api/v1/spilled",
            "spilled",
            "What waits in this receiver's spill",
        )
        .asks(&["event_id"])
        .gives(schemas.answer::<SpillShown>()),
        Operation::post("/api/v1/spilled", "offerSpilled", "Takes what a spill held")
            .takes(schemas.body::<SpilledPushes>())
            .gives(schemas.answer::<Drained>()),
    ]
}

fn about_events(schemas: &mut Schemas) -> Vec<Operation> {
    let of_events = [
        "event_id",
        "event_type",
        "subject",
        "outcome",
        "route",
        "since",
    ];
    vec![
        Operation::get("/api/v1/events", "events", "Stored events, newest first")
            .asks(&["cursor", "limit", "until", "text"])
            .asks(&of_events)
            .with(source_or_block())
            .gives(schemas.answer::<Searched>()),
        Operation::get(
            "/api/v1/events/{seq}",
            "event",
            "One event with its deliveries",
        )
        .gives(schemas.answer::<EventDetail>())
        .may(&[404]),
        Operation::get(
            "/api/v1/events/{seq}/body",
            "eventBody",
            "One event's bytes",
        )
        .gives_bytes()
        .may(&[404]),
        stream(schemas).asks(&["after"]).asks(&of_events),
        Operation::get(
            "/api/v1/subjects",
            "subjects",
            "Incidents and alerts, last changed first",
        )
        .asks(&["cursor", "limit", "subject", "open", "severity"])
        .gives(schemas.answer::<Page<SubjectShown>>()),
        Operation::get(
            "/api/v1/subjects/{subject}",
            "subject",
            "One of them with its events",
        )
        .asks(&["cursor", "limit"])
        .gives(schemas.answer::<SubjectDetail>())
        .may(&[404]),
        Operation::get(
            "/api/v1/deliveries",
            "deliveries",
            "Events on their way to sinks",
        )
        .asks(&["cursor", "limit", "seq", "sink", "state", "subject"])
        .asks(&["event_id", "event_type", "since", "until"])
        .gives(schemas.answer::<Page<DeliveryRow>>()),
    ]
}

fn stream(schemas: &mut Schemas) -> Operation {
    let summary = "Each event as it comes, as server-sent events";
    let mut stream = Operation::get("/api/v1/stream", "stream", summary).gives_as(
        "text/event-stream",
        json!({
            "schema": { "type": "string" },
            // What `data` is, by the name of the message.
            "x-messages": {
                "event": schemas.answer::<EventRow>(),
                "position": schemas.answer::<Position>(),
                "gap": schemas.answer::<Gap>(),
                "waiting": schemas.answer::<Waiting>(),
            },
        }),
    );
    stream.told["description"] = json!(
        "Does not end by itself. `id` is the position; who comes back sends the last one as \
         `Last-Event-ID`, which counts more than `after`."
    );
    stream.with(json!({
        "name": "Last-Event-ID",
        "in": "header",
        "required": false,
        "description": "The last position that was received.",
        "schema": { "type": "integer", "format": "int64", "minimum": 0 },
    }))
}

fn changes(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::post(
            "/api/v1/replay",
            "replay",
            "Delivers again, one bounded step",
        )
        .takes(schemas.body::<ChangeRequest>())
        .gives(schemas.answer::<Step>())
        .may(&[422]),
        Operation::post(
            "/api/v1/drop",
            "drop",
            "Gives deliveries up, one bounded step",
        )
        .takes(schemas.body::<ChangeRequest>())
        .gives(schemas.answer::<Step>())
        .may(&[422]),
        Operation::get(
            "/api/v1/audit",
            "audit",
            "What was changed by hand, newest first",
        )
        .asks(&["cursor", "limit", "action", "since", "until"])
        .gives(schemas.answer::<Page<AuditRow>>()),
    ]
}

fn about_the_box(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/v1/unreadable",
            "unreadables",
            "Pushes that could not be used",
        )
        .asks(&[
            "cursor", "limit", "since", "until", "source", "reason", "route",
        ])
        .gives(schemas.answer::<Page<UnreadableRow>>()),
        Operation::get("/api/v1/unreadable/{id}", "unreadable", "One of them")
            .gives(schemas.answer::<UnreadableRow>())
            .may(&[404]),
        Operation::get(
            "/api/v1/unreadable/{id}/body",
            "unreadableBody",
            "Its bytes",
        )
        .gives_bytes()
        .may(&[404]),
        Operation::post(
            "/api/v1/unreadable/{id}/offer",
            "offerUnreadable",
            "Offers it again",
        )
        .gives(schemas.answer::<Reoffered>())
        .may(&[404, 422]),
        Operation::post(
            "/api/v1/unreadable/{id}/drop",
            "dropUnreadable",
            "Drops it for good",
        )
        .takes(schemas.body::<DropRequest>())
        .gives(schemas.answer::<Dropped>())
        .may(&[404, 422]),
        Operation::post(
            "/api/v1/unreadable/offer",
            "offerSelected",
            "Offers many, in a step",
        )
        .takes(schemas.body::<BoxRequest>())
        .gives(schemas.answer::<BoxStep>())
        .may(&[422]),
        Operation::post(
            "/api/v1/unreadable/drop",
            "dropSelected",
            "Drops many, in a step",
        )
        .takes(schemas.body::<BoxRequest>())
        .gives(schemas.answer::<BoxStep>())
        .may(&[422]),
    ]
}

/// The way in and out, which needs no token to be asked for.
fn sessions() -> Vec<Operation> {
    let set = json!({ "Set-Cookie": { "required": true, "schema": { "type": "string" } } });
    let token = json!({
        "type": "object",
        "required": ["token"],
        "properties": { "token": { "type": "string", "format": "password" } },
        "additionalProperties": false,
    });
    let page = json!({ "schema": { "type": "string" } });
    let mut all = vec![
        Operation::get(
            "/login",
            "loginPage",
            "The console's page, which asks for the token",
        )
        .gives_as("text/html", page),
        Operation::post("/login", "login", "A session for the token, in a cookie")
            .takes(token)
            .may(&[409]),
        Operation::post("/logout", "logout", "Ends it in the browser"),
    ];
    for operation in &mut all {
        operation.told["security"] = json!([]);
        if operation.method == "post" {
            operation.told["responses"]["204"] =
                json!({ "description": "As asked.", "headers": set });
        }
    }
    all
}
