//! The program: read what was asked for, build the stack, serve it, say so.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::CommandFactory;
use futures::future::{OptionFuture, join};
use tokio::runtime::Runtime;

use crate::cli::{Cli, Command, Foreign, Keys};
use crate::config::{self, Config, Management};
use crate::discover::{self, Known};
use crate::live::Live;
use crate::reload::{self, Refused, Source};
use crate::{doctor, greeting, import, jwt, keys, local, log, schema, server};

/// How many ports above the usual one are tried where no configuration names one.
const SPARE_PORTS: u16 = 10;

/// Runs the program and returns how it ended: 0 if it did what it was asked.
pub fn run(cli: &Cli) -> ExitCode {
    let outcome = match (&cli.command, &cli.config) {
        (Some(Command::Check { config }), _) => check(config),
        (Some(Command::Doctor { config }), _) => examine(config),
        (Some(Command::Models { config }), _) => models(config),
        (Some(Command::Import { from, file }), _) => import(*from, file),
        (Some(Command::Schema), _) => say(&format!("{:#}\n", schema::schema())),
        (Some(Command::Completions { shell }), _) => completions(*shell),
        (Some(Command::Man), _) => manual(),
        (Some(Command::Keys(Keys::New { name })), _) => new_key(name),
        (None, Some(config)) => serve_file(config),
        (None, None) => serve_local(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(io::stderr(), "{}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> Result<(), String> {
    let config = load(path)?;
    let mut text = format!("{}: OK\n", path.display());
    text.push_str(&greeting::services(&config, &Known::new()));
    text.push_str(&greeting::inactive(&config));
    say(&text)
}

fn examine(path: &Path) -> Result<(), String> {
    let config = load(path)?;
    let main = runtime()?;
    let report = main.block_on(doctor::examine(&config));
    main.shutdown_background();
    say(&report.text)?;
    match report.unwell {
        0 => Ok(()),
        1 => Err("1 instance is not well".to_owned()),
        count => Err(format!("{count} instances are not well")),
    }
}

fn models(path: &Path) -> Result<(), String> {
    let config = load(path)?;
    let main = runtime()?;
    let text = main.block_on(doctor::models(&config));
    main.shutdown_background();
    say(&text)
}

/// Makes a key. The name may be anything that a YAML string can be.
fn new_key(name: &str) -> Result<(), String> {
    if !config::is_model_name(name) {
        return Err("a key's name is 1 to 256 bytes, and holds no control characters".into());
    }
    let key = keys::new()?;
    // JSON is YAML, too.
    let name = serde_json::Value::from(name);
    let digest = config::written(&keys::digest(&key));
    say(&format!(
        "The key, which is kept nowhere and is not shown again:\n\n  {key}\n\n\
         For the configuration, under security.api-keys:\n\n    - name: {name}\n      \
         digest: \"{digest}\"\n"
    ))
}

/// Prints another gateway's configuration as one of ours, and what of it is not in it.
fn import(from: Foreign, path: &Path) -> Result<(), String> {
    let text = if path.as_os_str() == "-" {
        io::read_to_string(io::stdin().take(import::LARGEST))
    } else {
        config::read(path)
    };
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let imported =
        import::import(from, &text).map_err(|error| format!("{}:{error}", path.display()))?;
    let mut told = io::stderr().lock();
    for note in &imported.notes {
        // Nobody is left to tell if standard error is gone; the comments say the same.
        let _ = writeln!(told, "{}:{note}", path.display());
    }
    say(&imported.yaml)
}

fn completions(shell: clap_complete::Shell) -> Result<(), String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "jairouter", &mut text);
    say(&String::from_utf8_lossy(&text))
}

/// One page for all commands.
fn manual() -> Result<(), String> {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(Cli::command().flatten_help(true));
    page.render(&mut text).map_err(|error| format!("the page cannot be written: {error}"))?;
    say(&String::from_utf8_lossy(&text))
}

/// The configuration in this file, or every error in it.
fn load(path: &Path) -> Result<Config, String> {
    reload::load(path).map_err(|refused| told(path, refused))
}

fn told(path: &Path, refused: Refused) -> String {
    match refused {
        Refused::Unreadable(error) => {
            format!("{}: the file cannot be read: {error}", path.display())
        }
        Refused::Wrong(errors) => {
            let mut text = String::new();
            for error in &errors {
                // Memory does not refuse a write.
                let _ = writeln!(text, "{}:{error}", path.display());
            }
            let count = errors.len();
            let _ = write!(text, "{count} error{} found", if count == 1 { "" } else { "s" });
            text
        }
    }
}

fn serve_file(path: &Path) -> Result<(), String> {
    let main = runtime()?;
    let source = main.block_on(async { Source::new(path) });
    let mut source = source.map_err(|error| format!("SIGHUP cannot be waited for: {error}"))?;
    let mut config = source.read().map_err(|refused| told(path, refused))?;
    let known = main.block_on(async {
        let known = discover::first(&config).await;
        jwt::first(&mut config).await;
        known
    });
    let served = serve(&main, config, known, Some(source), &greeting::of_file);
    // A name may be being resolved, which nobody waits for any more.
    main.shutdown_background();
    served
}

/// Serves what runs on this machine, or the simulated engine.
fn serve_local() -> Result<(), String> {
    let main = runtime()?;
    let found = main.block_on(discover::engines());
    let (config, known) = local::config(&found)?;
    let greeting = |address, _: &Config, _: &Known| greeting::of_machine(address, &found);
    let served = serve(&main, config, known, None, &greeting);
    main.shutdown_background();
    served
}

/// The main thread's, where everything is done that is no request.
fn runtime() -> Result<Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("the program cannot run: {error}"))
}

/// What to say when callers can come to this address.
type Greeting<'a> = &'a dyn Fn(SocketAddr, &Config, &Known) -> String;

fn serve(
    main: &Runtime,
    config: Config,
    known: Known,
    source: Option<Source>,
    greeting: Greeting<'_>,
) -> Result<(), String> {
    let _log = log::init(&config.server.log);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = config.server.workers.map_or(cores, NonZeroUsize::get);
    let listeners = listen(&config, workers)?;
    let address = server::reachable(listeners.address());
    let operators = operators(&config.management)?;
    say(&greeting(address, &config, &known))?;
    if let Some(operators) = &operators {
        let address = server::reachable(operators.address());
        say(&format!("Operators: http://{address}/metrics\n"))?;
    }
    for section in &config.inactive {
        tracing::warn!(
            path = section.path,
            line = section.line,
            "not active yet: {}",
            section.what
        );
    }
    tracing::info!(%address, workers, "listening");
    let mut live = Live::new(config, known, source)?;
    let status = Arc::clone(live.status());
    let cores: Vec<_> = (0..workers).map(|_| live.core()).collect();
    let mut cores = cores.into_iter();
    let next = move || cores.next().expect("there is one for each listener");
    let asked =
        operators.map(|operators| operators.run(Arc::clone(live.metrics()), Arc::clone(&status)));
    let background = async move {
        Box::pin(join(live.run(), OptionFuture::from(asked))).await;
    };
    server::run(main, listeners, &status, background, next)
        .map_err(|error| format!("the server failed: {error}"))?;
    tracing::info!("stopped");
    Ok(())
}

/// The listener of operators, if there is to be one.
fn operators(management: &Management) -> Result<Option<server::Operators>, String> {
    let (address, port) = (management.address, management.port);
    let bind = || server::Operators::bind(SocketAddr::new(address, port));
    management
        .enabled
        .then(bind)
        .transpose()
        .map_err(|error| format!("cannot listen on {address} port {port} for operators: {error}"))
}

fn listen(config: &Config, workers: usize) -> Result<server::Listeners, String> {
    let (address, port) = (config.server.address, config.server.port);
    // The usual port is also that of engines found here, and nobody asked for it by name.
    let ports = port..=if config.from_file { port } else { port.saturating_add(SPARE_PORTS) };
    let mut last = None;
    for port in ports {
        match server::Listeners::bind(SocketAddr::new(address, port), workers) {
            Ok(listeners) => return Ok(listeners),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(format!("cannot listen on {address} port {port}: {error}")),
        }
    }
    let hint = "another program listens there; set server.port to a free one, or 0 for any";
    let reason = last.map_or(String::new(), |error| format!(": {error}"));
    Err(format!("cannot listen on {address} port {port}{reason} ({hint})"))
}

/// Prints for people. Whoever started the program in the background may have closed this.
fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
