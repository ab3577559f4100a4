//! Liveness and readiness, the same on both listeners.
//!
//! Ready means that a push could be made durable now. All else that a person should know is a
//! warning: with a single replica an unready instance is an unreachable one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;

/// Whether a push could be made durable now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether probes are answered with 200.
    pub ready: bool,
    /// Why not, in words; present exactly when not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What whoever probes may know although it is ready: nothing that could be of use to a stranger.
    #[serde(rename = "warning", skip_serializing_if = "Option::is_none")]
    pub notice: Option<&'static str>,
    /// What a person should look at although pushes are still taken. Probes do not show it: anyone
    /// may ask them.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Readiness {
    /// Ready, without warnings.
    pub fn ready() -> Self {
        Self {
            ready: true,
            ..Self::default()
        }
    }

    /// Not ready because of `reason`.
    pub fn unready(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::default()
        }
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let status = if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, [(CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}

/// Knows whether the service is ready.
pub trait Health: Send + Sync {
    /// The state now. Asked by every probe: it must neither block nor touch the store.
    fn readiness(&self) -> Readiness;
}

/// `/livez` and `/readyz`, each for `GET` and `HEAD`.
pub fn routes(health: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health)
}

/// Answers 200: whoever answers is alive.
pub async fn livez() -> Response {
    let body = Json(serde_json::json!({"live": true}));
    ([(CACHE_CONTROL, "no-store")], body).into_response()
}

/// Answers 200 with `{"ready":true}`, or 503 with the reason.
pub async fn readyz(State(health): State<Arc<dyn Health>>) -> Readiness {
    health.readiness()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    struct Fixed(Readiness);

    impl Health for Fixed {
        fn readiness(&self) -> Readiness {
            self.0.clone()
        }
    }

    async fn probe(readiness: Readiness, method: &str, path: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let router = routes(Arc::new(Fixed(readiness)));
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_answers_503_with_the_reason_and_hides_warnings() {
        let warned = Readiness {
            warnings: vec!["the disk is nearly full".to_owned()],
            ..Readiness::ready()
        };
        let ok = (200, r#"{"ready":true}"#.to_owned());
        assert_eq!(probe(warned, "GET", "/readyz").await, ok);
        let noted = Readiness {
            notice: Some("pushes are kept elsewhere"),
            ..Readiness::ready()
        };
        let body = r#"{"ready":true,"warning":"pushes are kept elsewhere"}"#;
        let ok = (200, body.to_owned());
        assert_eq!(probe(noted, "GET", "/readyz").await, ok);
        let draining = Readiness::unready("the service is draining");
        let body = r#"{"ready":false,"reason":"the service is draining"}"#;
        let refused = (503, body.to_owned());
        assert_eq!(probe(draining, "GET", "/readyz").await, refused);
    }

    #[tokio::test]
    async fn head_gets_the_status_alone_and_liveness_outlives_readiness() {
        let unready = Readiness::unready("the store is full");
        assert_eq!(
            probe(unready.clone(), "HEAD", "/readyz").await,
            (503, String::new())
        );
        assert_eq!(
            probe(unready.clone(), "HEAD", "/livez").await,
            (200, String::new())
        );
        assert_eq!(probe(unready, "GET", "/livez").await.0, 200);
    }
}
