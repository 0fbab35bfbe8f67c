//! `tracing`: which requests are traced, and who is told of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jairouter_core::upstream::Target;

use super::instance::headers;
use super::reader::Field;
use super::server::set;
use super::tls::{self, Tls};
use super::value;

/// Which requests are traced, and who is told of them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tracing {
    /// `tracing.sampling-ratio`: of the traces that begin here, from 0 to 1. Default 1.
    pub sampling_ratio: f64,
    /// `tracing.otlp`. Default nobody is told.
    pub otlp: Option<Otlp>,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { sampling_ratio: 1.0, otlp: None }
    }
}

/// A collector that is sent spans, by OTLP over HTTP in protobuf.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Otlp {
    /// `endpoint`, below which is `/v1/traces`. Default the environment's `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub target: Target,
    /// `headers`. The values are secrets.
    pub headers: HeaderMap,
    /// `timeout`, of one batch. Default 10 s.
    pub timeout: Duration,
    /// `service-name`. Default the environment's `OTEL_SERVICE_NAME`, or else `jairouter`.
    pub service_name: String,
    /// `tls`, of one that is spoken to over it.
    pub tls: Option<Arc<Tls>>,
}

/// Never prints the headers' values.
impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("target", &self.target)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

pub(super) fn tracing(field: &Field<'_>, env: Env<'_>, tracing: &mut Tracing) {
    let Some(mut map) = field.map() else { return };
    set(&mut map, "sampling-ratio", &mut tracing.sampling_ratio, |text| {
        match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err(format!("'{text}' is not a number from 0 to 1")),
        }
    });
    map.refuse_blank("otlp", "this says nothing; leave it out, and no spans are sent");
    if let Some(field) = map.take("otlp") {
        tracing.otlp = otlp(&field, env);
    }
    map.finish();
}

/// The collector of the environment's, where no file names one.
///
/// # Errors
///
/// What is wrong with it.
pub fn of_the_environment(env: Env<'_>) -> Result<Option<Otlp>, String> {
    if !cfg!(feature = "otlp") {
        return Ok(None);
    }
    let Some(url) = env(ENDPOINT).filter(|url| !url.trim().is_empty()) else { return Ok(None) };
    let otlp = target(&url).and_then(|target| Otlp::to(target, env));
    otlp.map(Some).map_err(|error| format!("the environment's {ENDPOINT}: {error}"))
}

fn otlp(field: &Field<'_>, env: Env<'_>) -> Option<Otlp> {
    if !cfg!(feature = "otlp") {
        field.error_at_key(
            "this program was built without the feature 'otlp', and sends no spans to anybody",
        );
        return None;
    }
    let mut map = field.map()?.strict();
    let endpoint = map.take("endpoint");
    let target = match &endpoint {
        Some(field) => field.parse(target),
        None => match env(ENDPOINT).map(|url| target(&url)) {
            Some(target) => target.map_err(|error| map.error(format!("{ENDPOINT}: {error}"))).ok(),
            None => {
                map.error(format!("there is no 'endpoint', and no {ENDPOINT} in the environment"));
                None
            }
        },
    };
    let mut more = HeaderMap::new();
    if let Some(field) = map.take("headers") {
        more = headers(&field);
    }
    let mut timeout = None;
    set(&mut map, "timeout", &mut timeout, |text| value::timeout(text).map(Some));
    let mut name = None;
    set(&mut map, "service-name", &mut name, |text| match text {
        "" => Err("a service has a name".into()),
        name => Ok(Some(name.to_owned())),
    });
    let tls = map.take("tls");
    let is_safe = target.as_ref().is_none_or(|target| target.scheme() == "https");
    if let (Some(field), false) = (&tls, is_safe) {
        field.error_at_key("no TLS is spoken with an endpoint that begins with http://");
    }
    let tls = tls.map(|field| tls::tls(&field));
    map.finish();
    let mut otlp = match Otlp::to(target?, env) {
        Ok(otlp) => otlp,
        Err(error) => {
            field.error(error);
            return None;
        }
    };
    otlp.headers = more;
    otlp.timeout = timeout.unwrap_or(otlp.timeout);
    otlp.service_name = name.unwrap_or(otlp.service_name);
    if let Some(tls) = tls {
        otlp.tls = Some(tls?);
    }
    Some(otlp)
}

/// No message repeats it: it may have been put together of secrets.
fn target(url: &str) -> Result<Target, String> {
    let url = url.trim().trim_end_matches('/');
    let base = url.strip_suffix("/v1/traces").unwrap_or(url);
    let target: Target = base.parse().map_err(|error| format!("{error}"))?;
    match target.scheme() {
        "http" | "https" => Ok(target),
        _ => Err("a collector's URL begins with http:// or https://".into()),
    }
}

impl Otlp {
    /// With the defaults of everything else.
    fn to(target: Target, env: Env<'_>) -> Result<Self, String> {
        let name = env(SERVICE_NAME).filter(|name| !name.trim().is_empty());
        let tls = match target.scheme() {
            "https" => Some(Tls::of_the_system()?),
            _ => None,
        };
        Ok(Self {
            target,
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(10),
            service_name: name.unwrap_or_else(|| "jairouter".into()),
            tls,
        })
    }
}
