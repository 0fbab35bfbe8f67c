//! Nobody is told.

use std::convert::Infallible;
use std::future::Ready;
use std::sync::Arc;

use jairouter_config::config::Otlp;
use jairouter_core::observe::Exchange;

use super::Sent;

/// There is none.
#[derive(Debug)]
pub(crate) struct Exporter(Infallible);

/// There are none.
#[derive(Debug, Clone)]
pub(crate) struct Spans(Infallible);

impl Exporter {
    pub(crate) fn new(_: &Otlp, _: Arc<Sent>) -> Result<(Spans, Self), String> {
        Err("this program was built without the feature 'otlp'".into())
    }

    pub(crate) fn run(&mut self) -> Ready<()> {
        match self.0 {}
    }

    pub(crate) fn flush(self) -> Ready<()> {
        match self.0 {}
    }
}

impl Spans {
    pub(crate) fn tell(&self, _: &Exchange) {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use jairouter_config::Config;

    #[test]
    fn a_config_that_names_a_collector_is_refused() {
        let yaml = "tracing: { otlp: { endpoint: 'http://c' } }\nmodel: { services: { chat: { instances: [\n  \
                    { name: m, base-url: 'http://h:1' } ] } } }";
        let error = Config::parse(yaml).unwrap_err();
        assert!(error.to_string().contains("built without the feature 'otlp'"), "{error}");
    }
}
