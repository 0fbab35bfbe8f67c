//! The gateway in an axum service, with a layer of this program's own between two of the library's.

pub mod tally;

use axum::routing::get;
use jairouter_core::balance::{Instance, LeastConnections};
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::router::Group;
use jairouter_core::upstream::InvalidTarget;
use jairouter_core::{Gateway, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use tower::ServiceBuilder;
use tower::layer::layer_fn;

use tally::TallyLayer;

/// The service, over these engines.
pub fn app(
    tally: &TallyLayer,
    engines: impl IntoIterator<Item = Engine>,
) -> Result<axum::Router, InvalidTarget> {
    let mut chat = Group::new(LeastConnections::new());
    for (number, engine) in engines.into_iter().enumerate() {
        let name = format!("simulated://{number}");
        let upstream = Upstream::new(OpenAi::new(), name.parse()?, engine);
        chat = chat.instance("demo", Instance::new(name, upstream));
    }
    let gateway = ServiceBuilder::new()
        .layer(layer_fn(|inner| Gateway::new(inner).with_models(["demo"])))
        .layer(ObserveLayer::new(|exchange: &Exchange| {
            println!("{} {} {:?}", exchange.model, exchange.status, exchange.total);
        }))
        .layer(tally.clone())
        .service(Router::builder().service(ServiceType::Chat, chat).build());
    Ok(axum::Router::new()
        .route("/", get(|| async { "my own route\n" }))
        .route_service("/v1/{*path}", gateway))
}
