//! Asks an interceptor, and waits for what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use sessiongate_targets::aws::{GatewayRole, Invocation, InvokeError, LambdaArn, PAYLOAD_LIMIT};
use url::Url;

use super::contract::{self, AsRequest, AsResponse, Disclosure, RequestVerdict, ResponseVerdict};
use super::error::InterceptError;
use crate::config::{GatewayConfig, InterceptionPoint, InterceptorConfig};
use crate::gateway::Outgoing;

/// The interceptors of one gateway: one of them at least.
pub struct Interceptors {
    /// At the point REQUEST.
    pub request: Option<Arc<Interceptor>>,
    /// At the point RESPONSE.
    pub response: Option<Arc<Interceptor>>,
}

/// One interceptor.
pub struct Interceptor {
    gateway: Box<str>,
    /// As which functions are invoked; none where the process does it.
    role: Option<GatewayRole>,
    kind: Kind,
    disclosure: Disclosure,
    timeout: Duration,
    outgoing: Arc<Outgoing>,
}

/// Where an interceptor is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before anything is done.
    Request,
    /// Before the client gets the answer.
    Response,
}

enum Kind {
    Lambda(LambdaArn),
    Hook(Url),
    /// As it is configured it cannot be asked; it refuses everything.
    Broken,
}

// === impl Interceptors ===

impl Interceptors {
    /// Those of a gateway; none where it has none.
    pub fn of(gateway: &GatewayConfig, outgoing: &Arc<Outgoing>) -> Option<Arc<Self>> {
        let all: Vec<(&InterceptorConfig, Arc<Interceptor>)> = gateway
            .interceptors
            .iter()
            .map(|config| (config, Arc::new(Interceptor::new(gateway, config, outgoing))))
            .collect();
        let at = |point: InterceptionPoint| {
            all.iter().find(|(config, _)| config.points.contains(&point)).map(|(_, made)| made.clone())
        };
        let found = Self { request: at(InterceptionPoint::Request), response: at(InterceptionPoint::Response) };
        (found.request.is_some() || found.response.is_some()).then(|| Arc::new(found))
    }
}

// === impl Interceptor ===

impl Interceptor {
    fn new(gateway: &GatewayConfig, config: &InterceptorConfig, outgoing: &Arc<Outgoing>) -> Self {
        let kind = match (&config.lambda, &config.url) {
            (Some(arn), _) => arn.parse().map_or(Kind::Broken, Kind::Lambda),
            (None, Some(url)) => Kind::Hook(url.url().clone()),
            (None, None) => Kind::Broken,
        };
        let role = gateway.role();
        let name = gateway.name.as_str();
        match &kind {
            Kind::Broken => {
                tracing::error!(
                    gateway = name,
                    "an interceptor cannot be used as it is configured: it refuses everything"
                );
            }
            Kind::Lambda(function) => {
                if let Err(error) = outgoing.can_invoke(role.as_ref(), function) {
                    tracing::warn!(
                        gateway = name,
                        function = function.as_str(),
                        %error,
                        "an interceptor's function cannot be invoked: everything that it is to see is refused"
                    );
                }
            }
            Kind::Hook(_) => {}
        }
        Self {
            gateway: name.into(),
            role,
            kind,
            disclosure: Disclosure {
                request_headers: config.pass_request_headers,
                hide_response_body: config.exclude_response_body,
            },
            timeout: config.timeout,
            outgoing: outgoing.clone(),
        }
    }

    /// What is to become of a request.
    ///
    /// # Errors
    /// Where it does not say: the request must be refused. The log has it already.
    pub async fn request(&self, request: AsRequest<'_>, body: &Bytes) -> Result<RequestVerdict, InterceptError> {
        let asked = async {
            let input = contract::request_input(request, self.disclosure)?;
            let output = self.ask(Point::Request, &input).await?;
            Ok(contract::request_verdict(&output, body)?)
        };
        self.reported(Point::Request, asked).await
    }

    /// Refuses a request whose answer could not be shown, whatever it is.
    ///
    /// # Errors
    /// [`InterceptError::RequestTooLarge`].
    pub fn has_room(&self, request: AsRequest<'_>) -> Result<(), InterceptError> {
        if matches!(self.kind, Kind::Lambda(_)) && request.raw.len() + request.body.len() > PAYLOAD_LIMIT {
            let error = InterceptError::RequestTooLarge;
            self.failed(Point::Response, &error);
            return Err(error);
        }
        Ok(())
    }

    /// What is to become of an answer, or of one message of it.
    ///
    /// # Errors
    /// Where it does not say: the client must not get the answer. The log has it already.
    pub async fn response(
        &self,
        request: AsRequest<'_>,
        response: AsResponse<'_>,
        body: &Bytes,
    ) -> Result<ResponseVerdict, InterceptError> {
        let asked = async {
            let input = contract::response_input(request, response, self.disclosure)?;
            let output = self.ask(Point::Response, &input).await?;
            Ok(contract::response_verdict(&output, body)?)
        };
        self.reported(Point::Response, asked).await
    }

    async fn ask(&self, point: Point, input: &Bytes) -> Result<Bytes, InterceptError> {
        let lambda = self.outgoing.lambda(self.role.as_ref()).ok_or(InterceptError::NotSetUp)?;
        let answer = match &self.kind {
            Kind::Broken => return Err(InterceptError::NotSetUp),
            Kind::Hook(url) => lambda.post(url, input, self.timeout).await,
            Kind::Lambda(function) => {
                let invocation = Invocation { function, payload: input, client_context: None, deadline: self.timeout };
                lambda.invoke(&invocation).await
            }
        };
        answer.map_err(|error| match (error, point) {
            (InvokeError::PayloadTooLarge { .. }, Point::Request) => InterceptError::RequestTooLarge,
            (InvokeError::PayloadTooLarge { .. }, Point::Response) => InterceptError::AnswerTooLarge,
            (error, _) if error.is_timeout() => InterceptError::Late(self.timeout),
            (error, _) => InterceptError::Failed(error),
        })
    }

    async fn reported<T>(
        &self,
        point: Point,
        asked: impl Future<Output = Result<T, InterceptError>>,
    ) -> Result<T, InterceptError> {
        let began = Instant::now();
        let answer = asked.await;
        let outcome = answer.as_ref().map_or_else(InterceptError::code, |_| "ok");
        let gateway = self.gateway.to_string();
        metrics::histogram!("sessiongate_interceptor_seconds", "gateway" => gateway, "point" => point.as_str(), "outcome" => outcome)
            .record(began.elapsed().as_secs_f64());
        if let Err(error) = &answer {
            self.failed(point, error);
        }
        answer
    }

    /// What it said cannot be carried out, for a reason that only whoever would do it can know.
    pub fn unusable(&self, point: Point, why: &'static str) -> InterceptError {
        let error = InterceptError::unusable(why);
        self.failed(point, &error);
        error
    }

    /// Notes what it says about the head of an answer that is gone.
    pub fn note_late_head(&self, verdict: &ResponseVerdict, status: StatusCode, headers: &HeaderMap) {
        let other = |name| headers.get(name) != verdict.headers.get(name);
        let names: Vec<&str> = verdict.headers.keys().filter(|name| other(*name)).map(|name| name.as_str()).collect();
        let said = verdict.status.filter(|said| *said != status);
        if said.is_some() || !names.is_empty() {
            let (gateway, said) = (&*self.gateway, said.map(|said| said.as_u16()));
            let message = "what an interceptor says of status or headers came after the head of the answer";
            tracing::debug!(gateway, status = said, headers = ?names, "{message}");
        }
    }

    fn failed(&self, point: Point, error: &InterceptError) {
        let (gateway, point, code, detail) = (&*self.gateway, point.as_str(), error.code(), error.detail());
        if error.is_of_client() {
            tracing::debug!(gateway, point, error = code, detail, "what an interceptor was to see is refused");
            return;
        }
        tracing::warn!(gateway, point, error = code, detail, "an interceptor failed: what it was to see is refused");
    }
}

// === impl Point ===

impl Point {
    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}
