//! Asks an interceptor, and waits for what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sessiongate_targets::aws::{Invocation, LambdaArn};
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
    kind: Kind,
    disclosure: Disclosure,
    timeout: Duration,
    outgoing: Arc<Outgoing>,
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
            .map(|config| (config, Arc::new(Interceptor::new(&gateway.name, config, outgoing))))
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
    fn new(gateway: &str, config: &InterceptorConfig, outgoing: &Arc<Outgoing>) -> Self {
        let kind = match (&config.lambda, &config.url) {
            (Some(arn), _) => arn.parse().map_or(Kind::Broken, Kind::Lambda),
            (None, Some(url)) => Kind::Hook(url.url().clone()),
            (None, None) => Kind::Broken,
        };
        if matches!(kind, Kind::Broken) {
            tracing::error!(gateway, "an interceptor cannot be used as it is configured: it refuses everything");
        }
        Self {
            gateway: gateway.into(),
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
            let output = self.ask(&input).await?;
            Ok(contract::request_verdict(&output, body)?)
        };
        self.reported("request", asked).await
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
            let output = self.ask(&input).await?;
            Ok(contract::response_verdict(&output, body)?)
        };
        self.reported("response", asked).await
    }

    async fn ask(&self, input: &Bytes) -> Result<Bytes, InterceptError> {
        let lambda = self.outgoing.lambda().ok_or(InterceptError::NotSetUp)?;
        let answer = match &self.kind {
            Kind::Broken => return Err(InterceptError::NotSetUp),
            Kind::Hook(url) => lambda.post(url, input, self.timeout).await,
            Kind::Lambda(function) => {
                let invocation = Invocation { function, payload: input, client_context: None, deadline: self.timeout };
                lambda.invoke(&invocation).await
            }
        };
        answer.map_err(|error| match error.is_timeout() {
            true => InterceptError::Late(self.timeout),
            false => InterceptError::Failed(error),
        })
    }

    async fn reported<T>(
        &self,
        point: &'static str,
        asked: impl Future<Output = Result<T, InterceptError>>,
    ) -> Result<T, InterceptError> {
        let began = Instant::now();
        let answer = asked.await;
        let outcome = answer.as_ref().map_or_else(InterceptError::code, |_| "ok");
        let gateway = self.gateway.to_string();
        metrics::histogram!("sessiongate_interceptor_seconds", "gateway" => gateway, "point" => point, "outcome" => outcome)
            .record(began.elapsed().as_secs_f64());
        if let Err(error) = &answer {
            self.failed(point, error);
        }
        answer
    }

    /// What it said cannot be carried out, for a reason that only whoever would do it can know.
    pub fn unusable(&self, point: &'static str, why: &'static str) -> InterceptError {
        let error = InterceptError::unusable(why);
        self.failed(point, &error);
        error
    }

    fn failed(&self, point: &'static str, error: &InterceptError) {
        let (gateway, detail) = (&*self.gateway, error.detail());
        let message = "an interceptor failed: what it was to see is refused";
        tracing::warn!(gateway, point, error = error.code(), detail, "{message}");
    }
}
