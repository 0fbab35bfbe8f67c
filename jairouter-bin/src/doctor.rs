//! `jairouter doctor` and `jairouter models`: every instance is asked once, and what is wrong with it is said.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use http::{Request, StatusCode};
use jairouter_config::config::{Config, Instance, Models, Service};
use jairouter_config::discover::{Known, Lister};
use jairouter_config::reasons::chain;
use jairouter_config::transport::Transport;
use jairouter_core::Payload;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

/// How long an instance may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most models that are named in a line.
const MOST_NAMED: usize = 10;

/// What was found of a configuration's instances.
pub(crate) struct Report {
    /// For people.
    pub(crate) text: String,
    /// How many instances have something wrong with them.
    pub(crate) unwell: usize,
}

/// What was found of one instance.
struct Finding {
    health: Result<(StatusCode, Duration), String>,
    models: Result<Vec<Box<str>>, String>,
}

/// Asks every instance how it is and which models it has.
pub(crate) async fn examine(config: &Config) -> Report {
    let instances = || config.services.iter().flat_map(|service| &service.instances);
    let findings = join_all(instances().map(ask)).await;
    let mut report = Report { text: String::new(), unwell: 0 };
    let mut findings = findings.into_iter();
    for service in &config.services {
        // Memory does not refuse a write.
        let _ = writeln!(report.text, "{}", service.service_type);
        for (instance, finding) in service.instances.iter().zip(&mut findings) {
            let wrong = wrong(instance, &finding);
            let word = match (instance.active, wrong.is_empty()) {
                (false, _) => "off ",
                (true, true) => "ok  ",
                (true, false) => "BAD ",
            };
            report.unwell += usize::from(instance.active && !wrong.is_empty());
            let _ = writeln!(
                report.text,
                "  {word} {}  {} ({})",
                instance.id,
                instance.target,
                instance.backend.name()
            );
            for line in wrong.iter().chain(&said(&finding)) {
                let _ = writeln!(report.text, "         {line}");
            }
        }
    }
    report
}

/// Which models are served, and by whom, as far as the instances say.
pub(crate) async fn models(config: &Config) -> String {
    let mut known = Known::new();
    let instances = config.services.iter().flat_map(|service| &service.instances);
    let asked: Vec<_> = instances.filter(|instance| instance.is_asked()).collect();
    let lists = join_all(asked.iter().map(|instance| listed(instance))).await;
    let mut text = String::new();
    for (instance, list) in asked.into_iter().zip(lists) {
        match list {
            Ok(models) => drop(known.insert(instance.id.clone(), models)),
            Err(why) => {
                let _ = writeln!(text, "{} does not list its models: {why}", instance.id);
            }
        }
    }
    for service in &config.services {
        text.push_str(&of_service(service, &known));
    }
    text
}

fn of_service(service: &Service, known: &Known) -> String {
    let mut served: Vec<(Box<str>, String)> = Vec::new();
    for instance in service.instances.iter().filter(|instance| instance.active) {
        for model in instance.names(known) {
            let own = model.own.map_or(String::new(), |own| format!(" as {own}"));
            served.push((model.name, format!("{}{own}", instance.id)));
        }
    }
    served.sort();
    let mut text = format!("{}\n", service.service_type);
    for same in served.chunk_by(|a, b| a.0 == b.0) {
        let by: Vec<_> = same.iter().map(|(_, by)| by.as_str()).collect();
        let _ = writeln!(text, "  {}  {}", same[0].0, by.join(", "));
    }
    text
}

async fn ask(instance: &Instance) -> Finding {
    let (health, models) = tokio::join!(health(instance), listed(instance));
    Finding { health, models }
}

async fn health(instance: &Instance) -> Result<(StatusCode, Duration), String> {
    let transport = Transport::to(instance)?;
    let path = instance.health.path.clone().map_or_else(|| instance.backend.health(), Into::into);
    let uri = instance.target.engine_uri(&path).map_err(|error| error.to_string())?;
    let mut request = Request::new(Payload::default());
    *request.uri_mut() = uri;
    *request.headers_mut() = instance.backend.headers();
    request.headers_mut().extend(instance.headers.clone());
    let started = Instant::now();
    match timeout(PATIENCE, transport.oneshot(request)).await {
        Ok(Ok(answer)) => Ok((answer.status(), started.elapsed())),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no answer in {PATIENCE:?}")),
    }
}

async fn listed(instance: &Instance) -> Result<Vec<Box<str>>, String> {
    Lister::new(instance, Transport::to(instance)?)?.ask().await
}

/// What is wrong with an instance, a line each.
fn wrong(instance: &Instance, finding: &Finding) -> Vec<String> {
    let mut wrong = Vec::new();
    match &finding.health {
        Err(why) => return vec![why.clone()],
        Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)) => {
            wrong.push("it refuses the key that it is sent".to_owned());
        }
        // There is a server, which knows no such path.
        Ok((StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _)) => {}
        Ok((status, _)) if !status.is_success() => {
            wrong.push(format!("its health is {status}"));
        }
        Ok(_) => {}
    }
    match (&instance.models, &finding.models) {
        (Models::Asked(_), Err(why)) => {
            wrong.push(format!("it has no models of its own in the file, and lists none: {why}"));
        }
        (Models::Asked(_), Ok(models)) if models.is_empty() => {
            wrong.push("it has no models of its own in the file, and lists none".to_owned());
        }
        (Models::Given(names), Ok(models)) if !models.is_empty() => {
            for model in names {
                let own = model.own.as_ref().unwrap_or(&model.name);
                if !models.contains(own) && !models.contains(&format!("{own}:latest").into()) {
                    wrong.push(format!("it does not list '{own}'"));
                }
            }
        }
        _ => {}
    }
    wrong
}

/// What an instance said, a line each.
fn said(finding: &Finding) -> Vec<String> {
    let mut said = Vec::new();
    if let Ok((status, took)) = &finding.health {
        said.push(format!("health {} in {} ms", status.as_u16(), took.as_millis()));
    }
    if let Ok(models) = &finding.models {
        let named: Vec<_> = models.iter().take(MOST_NAMED).map(|name| &**name).collect();
        let more = models.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        said.push(format!("models: {}{more}", named.join(", ")));
    }
    said
}
