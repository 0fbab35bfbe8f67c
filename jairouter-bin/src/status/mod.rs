//! `jairouter status`: how a running gateway is, live in a terminal.

mod rows;
mod screen;

use std::io::{self, IsTerminal};
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Limited};
use jairouter_config::reasons::chain;
use jairouter_core::Payload;
use jairouter_core::client::HttpClient;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tower::ServiceExt;

use rows::Picture;

/// Where the token is that operators have to show.
const TOKEN: &str = "JAIROUTER_OPERATORS_TOKEN";

/// How long the gateway may take to say how it is, and how much.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 16 << 20;

/// Where a gateway's operators ask.
struct Gateway {
    client: HttpClient,
    host: HeaderValue,
    token: Option<HeaderValue>,
}

/// How to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Live in a terminal, once otherwise.
    Auto,
    /// Once, for people.
    Once,
    /// Once, as JSON.
    Json,
}

/// Shows the gateway at this URL. What is to be printed, if it is shown once.
///
/// # Errors
///
/// Why it cannot be shown, as text.
pub(crate) fn show(main: &Runtime, url: &str, form: Form) -> Result<String, String> {
    let gateway = Gateway::at(url)?;
    if form == Form::Auto && io::stdout().is_terminal() && io::stdin().is_terminal() {
        screen::show(url, || main.block_on(gateway.ask()).map(|said| Picture::of(&said)))?;
        return Ok(String::new());
    }
    let said = main.block_on(gateway.ask())?;
    match form {
        Form::Json => {
            let json = format!("{said:#}");
            let lines = json.lines().map(|line| format!("{}\n", rows::plain(line)));
            Ok(lines.collect())
        }
        Form::Auto | Form::Once => Ok(Picture::of(&said).text()),
    }
}

impl Gateway {
    fn at(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("'{url}' is not a URL"))?;
        let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
            return Err(format!("'{url}' is not a URL such as http://127.0.0.1:8081"));
        };
        let authority: &Authority = authority;
        let host = HeaderValue::from_str(authority.as_str());
        let token = std::env::var(TOKEN).ok().map(|token| {
            let token = HeaderValue::from_str(&format!("Bearer {token}"));
            token.map_err(|_| format!("{TOKEN} holds what a header cannot"))
        });
        Ok(Self {
            client: HttpClient::new(authority),
            host: host.map_err(|_| format!("'{url}' is not a URL"))?,
            token: token.transpose()?,
        })
    }

    /// How it is now.
    async fn ask(&self) -> Result<Value, String> {
        let mut request = Request::new(Payload::default());
        *request.uri_mut() = Uri::from_static("/api/status");
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        let ask = async {
            let answer = self.client.clone().oneshot(request).await.map_err(|e| chain(&e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            match (said.get("data"), said["message"].as_str()) {
                (Some(data), Some(_)) if status.is_success() => Ok(data.clone()),
                (_, Some(message)) => Err(refusal(&said, message)),
                _ => {
                    Err(format!("it answers {status}, and not as a gateway's operators' listener"))
                }
            }
        };
        timeout(PATIENCE, ask).await.unwrap_or_else(|_| Err(format!("no answer in {PATIENCE:?}")))
    }
}

fn refusal(said: &Value, message: &str) -> String {
    match said["errorCode"].as_str() {
        Some("invalid_token") => format!("{} (set {TOKEN})", rows::plain(message)),
        _ => rows::plain(message),
    }
}
