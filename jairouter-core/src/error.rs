//! The one vocabulary of failure: [`Kind`] says whose fault it was, whether work had begun and what
//! the caller sees; the balancer, the breaker, the fallback, the metrics and the encoders all read it.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::rate_limit::Quota;

/// A boxed error of somebody else's, kept as a source.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What went wrong, in the words every part of the gateway decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The request is wrong in itself. 400.
    Invalid,
    /// The chosen framework cannot do what was asked. 400.
    Unsupported,
    /// The request is larger than the gateway takes. 413.
    TooLarge,
    /// The caller sent its request too slowly. 408.
    SlowRequest,
    /// No such path. 404.
    NoEndpoint,
    /// The path exists, the method does not. 405.
    BadMethod,
    /// The body is not of a media type this path takes. 415.
    BadMediaType,
    /// No instance is configured for the model. 404.
    NoModel,
    /// One of our own keys is missing or wrong. 401.
    Unauthorized,
    /// The key is good and not allowed this. 403.
    Forbidden,
    /// The caller is over a limit of the gateway's. 429.
    RateLimited,
    /// The instance is busy, not broken: its limiter, its concurrency, its 429 or "server busy".
    Busy,
    /// The instance's circuit breaker is open. 503.
    BreakerOpen,
    /// No instance of the model can be asked now. 503.
    NoInstance,
    /// The gateway itself is at its bounds. 503.
    Overloaded,
    /// The instance was never reached: nothing was sent. 502.
    Unreachable,
    /// The instance broke off, or spoke nonsense. 502, or an error event when tokens had flowed.
    Broken,
    /// The instance fell silent in the middle of an answer.
    Stalled,
    /// The instance did not answer in time. 504.
    Timeout,
    /// The request's own time was over, before the instance had had the one it is given.
    Deadline,
    /// The instance answered that it failed (500, 502, 503, 504 and their kin).
    Failed,
    /// The instance refused the key the gateway has for it. 502.
    UpstreamAuth,
    /// The instance does not have the model. 404 when no other has it either.
    ModelAbsent,
    /// The instance refused the request itself: 400, 413, 422 and other deterministic 4xx.
    Rejected,
    /// A defect of the gateway. 500.
    Internal,
}

impl Kind {
    /// The status the caller sees, unless the instance's own is passed on.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::Unsupported | Self::Rejected => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowRequest => StatusCode::REQUEST_TIMEOUT,
            Self::NoEndpoint | Self::NoModel | Self::ModelAbsent => StatusCode::NOT_FOUND,
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::BreakerOpen | Self::NoInstance | Self::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unreachable
            | Self::Broken
            | Self::Stalled
            | Self::Failed
            | Self::UpstreamAuth => StatusCode::BAD_GATEWAY,
            Self::Timeout | Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The `error.code` the caller sees.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid | Self::Rejected => "invalid_request",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "request_too_large",
            Self::SlowRequest => "request_timeout",
            Self::NoEndpoint => "unknown_endpoint",
            Self::BadMethod => "method_not_allowed",
            Self::BadMediaType => "unsupported_media_type",
            Self::NoModel | Self::ModelAbsent => "model_not_found",
            Self::Unauthorized => "invalid_api_key",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limit_exceeded",
            Self::Busy => "instance_busy",
            Self::BreakerOpen => "circuit_open",
            Self::NoInstance => "no_healthy_instance",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "upstream_unreachable",
            Self::Broken | Self::Failed => "upstream_broken",
            Self::Stalled => "upstream_stalled",
            Self::Timeout | Self::Deadline => "upstream_timeout",
            Self::UpstreamAuth => "upstream_auth_failed",
            Self::Internal => "internal_error",
        }
    }

    /// Whether another instance may be asked instead, as long as nothing has reached the caller.
    pub const fn may_fail_over(self) -> bool {
        matches!(
            self,
            Self::Unsupported
                | Self::Busy
                | Self::BreakerOpen
                | Self::Unreachable
                | Self::Broken
                | Self::Timeout
                | Self::Failed
                | Self::UpstreamAuth
                | Self::ModelAbsent
        )
    }

    /// Whether a fallback may answer instead, as long as nothing has reached the caller: every
    /// instance there is cannot, and the caller is not why.
    ///
    /// What is the caller's to mend stays the caller's, as does a defect of ours. A model that is
    /// missing is a mistake of somebody's too, and only a fallback that is told to stands in for it.
    pub const fn may_fall_back(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::BreakerOpen
                | Self::NoInstance
                | Self::Overloaded
                | Self::Unreachable
                | Self::Broken
                | Self::Timeout
                | Self::Deadline
                | Self::Failed
                | Self::UpstreamAuth
        )
    }

    /// Whether this is evidence that the instance is unwell. Busy is not broken, a wrong key or a
    /// missing model is a mistake of configuration, and a bad request says nothing of the instance.
    pub const fn blames_instance(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::Broken | Self::Stalled | Self::Timeout | Self::Failed
        )
    }

    /// The kind of an upstream's refusal, by its status alone; `None` for anything below 400.
    pub fn of_status(status: StatusCode) -> Option<Self> {
        Some(match status.as_u16() {
            0..400 => return None,
            401 | 403 => Self::UpstreamAuth,
            404 => Self::ModelAbsent,
            408 | 504 => Self::Timeout,
            429 => Self::Busy,
            400..500 => Self::Rejected,
            _ => Self::Failed,
        })
    }
}

/// One instance that was asked in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// What the instance is called.
    pub instance: Box<str>,
    /// What went wrong.
    pub kind: Kind,
    /// How long it took.
    pub took: Duration,
}

impl Attempt {
    /// This instance failed in this way after this long.
    pub fn new(instance: impl Into<Box<str>>, kind: Kind, took: Duration) -> Self {
        Self { instance: instance.into(), kind, took }
    }
}

/// A failure: a [`Kind`], and what the caller is told.
///
/// One pointer wide, so that a `Result` of it is cheap to pass through every layer.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    status: Option<StatusCode>,
    code: Option<Cow<'static, str>>,
    param: Option<&'static str>,
    request_id: Option<HeaderValue>,
    retry_after: Option<Duration>,
    quota: Option<Quota>,
    attempts: Vec<Attempt>,
    attempts_told: bool,
    answer: Option<Bytes>,
    stale: bool,
    reach: Reach,
    source: Option<BoxError>,
}

/// How far the request came: to an instance, or to none, or to none for a rate was exceeded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Sent,
    Unsent,
    Limited { own: bool },
}

impl Error {
    /// An error of this kind. The message reaches the caller: it must hold no prompt, no key and no
    /// address.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            status: None,
            code: None,
            param: None,
            request_id: None,
            retry_after: None,
            quota: None,
            attempts: Vec::new(),
            attempts_told: false,
            answer: None,
            stale: false,
            reach: Reach::Sent,
            source: None,
        }))
    }

    /// A more exact `error.code` than the kind's own.
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// The request field at fault, for `error.param`.
    pub fn with_param(mut self, param: &'static str) -> Self {
        self.0.param = Some(param);
        self
    }

    /// The id of the request, for those who have nothing of its answer but the body: `error.request_id` in
    /// the words of OpenAI's API, `request_id` in those of Anthropic's. An instance's own envelope stays as
    /// it is.
    pub fn with_request_id(mut self, id: HeaderValue) -> Self {
        self.0.request_id = Some(id);
        self
    }

    /// The status the caller sees instead of the kind's own.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// When asking again may help. Sent rounded up to whole seconds, at least 1.
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The limit that was exceeded, for the `x-ratelimit-*` headers.
    pub fn with_quota(mut self, quota: Quota) -> Self {
        self.0.quota = Some(quota);
        self
    }

    /// The instances that were asked in vain, for the log; and if `told`, for the caller.
    pub fn with_attempts(mut self, attempts: Vec<Attempt>, told: bool) -> Self {
        self.0.attempts = attempts;
        self.0.attempts_told = told;
        self
    }

    /// The body of the upstream's refusal, already in the OpenAI envelope: passed on as it is.
    pub fn with_answer(mut self, envelope: Bytes) -> Self {
        self.0.answer = Some(envelope);
        self
    }

    /// What caused it, for logs; the caller never sees it.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Marks a pooled connection that was dead before a single byte of an answer came: the same
    /// request may be sent once more, on a new connection.
    pub fn stale(mut self) -> Self {
        self.0.stale = true;
        self
    }

    /// Marks a request that was refused on this side: no instance has seen anything of it, so asking
    /// another one adds no load.
    pub fn unsent(mut self) -> Self {
        self.0.reach = Reach::Unsent;
        self
    }

    /// The same, for a rate was exceeded, which may be this caller's own.
    pub(crate) fn limited(mut self, own: bool) -> Self {
        self.0.reach = Reach::Limited { own };
        self
    }

    /// Takes [`Error::unsent`] back: an instance has seen the request after all.
    pub(crate) fn sent(mut self) -> Self {
        self.0.reach = Reach::Sent;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The status the caller sees.
    pub fn status(&self) -> StatusCode {
        self.0.status.unwrap_or(self.0.kind.status())
    }

    /// The `error.code` the caller sees.
    pub fn code(&self) -> &str {
        self.0.code.as_deref().unwrap_or(self.0.kind.code())
    }

    /// The id of the request, if it is to be told.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_ref()?.to_str().ok()
    }

    /// The `error.param` the caller sees.
    pub fn param(&self) -> Option<&'static str> {
        self.0.param
    }

    /// The message the caller sees.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// When asking again may help.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The upstream's own envelope, if it is passed on.
    pub fn answer(&self) -> Option<&Bytes> {
        self.0.answer.as_ref()
    }

    /// The limit that was exceeded.
    pub fn quota(&self) -> Option<Quota> {
        self.0.quota
    }

    /// The instances that were asked in vain, in order.
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// The same, if the caller is to be told.
    pub(crate) fn told_attempts(&self) -> &[Attempt] {
        if self.0.attempts_told { &self.0.attempts } else { &[] }
    }

    /// See [`Error::stale`].
    pub fn is_stale(&self) -> bool {
        self.0.stale
    }

    /// See [`Error::unsent`].
    pub fn is_unsent(&self) -> bool {
        self.0.reach != Reach::Sent
    }

    /// See [`Error::limited`]: whose it is.
    pub(crate) fn limited_to(&self) -> Option<bool> {
        if let Reach::Limited { own } = self.0.reach { Some(own) } else { None }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("status", &self.status().as_u16())
            .field("code", &self.code())
            .field("message", &self.0.message)
            .field("attempts", &self.0.attempts)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Keeps one of our own errors as it is; anything else broke on the way to the instance.
impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => *own,
            Err(other) => {
                Self::new(Kind::Broken, "the instance could not be asked").with_source(other)
            }
        }
    }
}

#[cfg(test)]
mod tests;
