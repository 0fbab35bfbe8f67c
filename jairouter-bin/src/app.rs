//! The program: read what was asked for, build the stack, serve it, say so.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use clap::CommandFactory;
use futures::future::{OptionFuture, join3};
use jairouter_config::config::{self, Config, LoadError};
use jairouter_config::discover::{self, Known};
use jairouter_config::{keys, schema};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::cli::{Cli, Command, Foreign, Keys};
use crate::export::Exporter;
use crate::program::Program;
use crate::reload::Source;
use crate::server::{Inherited, Signals, Succession};
use crate::status::{self, Form};
use crate::{doctor, greeting, import, local, log, panics, server, sockets};

/// Runs the program and returns how it ended: 0 if it did what it was asked.
pub fn run(cli: &Cli) -> ExitCode {
    let outcome = match (&cli.command, &cli.config) {
        (Some(Command::Check { config }), _) => check(config),
        (Some(Command::Doctor { config }), _) => examine(config),
        (Some(Command::Models { config }), _) => models(config),
        (Some(Command::Status { url, once, json }), _) => status(url, *once, *json),
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

fn status(url: &str, once: bool, json: bool) -> Result<(), String> {
    let form = match (once, json) {
        (_, true) => Form::Json,
        (true, _) => Form::Once,
        _ => Form::Auto,
    };
    let shown = status::show(&runtime()?, url, form);
    say(&shown.map_err(|why| format!("{url}: {why}"))?)
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
    Config::read(path).map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &LoadError) -> String {
    match error {
        LoadError::Wrong(errors) => {
            let mut text = String::new();
            for error in errors {
                // Memory does not refuse a write.
                let _ = writeln!(text, "{}:{error}", path.display());
            }
            let count = errors.len();
            let _ = write!(text, "{count} error{} found", if count == 1 { "" } else { "s" });
            text
        }
        error => format!("{}: {error}", path.display()),
    }
}

fn serve_file(path: &Path) -> Result<(), String> {
    let inherited = Inherited::take()?;
    let main = runtime()?;
    let source = main.block_on(async { Source::new(path) });
    let mut source = source.map_err(|error| format!("SIGHUP cannot be waited for: {error}"))?;
    let mut config = source.read().map_err(|error| told(path, &error))?;
    let known = main.block_on(config.ask());
    let served = serve(&main, config, known, Some(source), inherited, &greeting::of_file);
    // A name may be being resolved, which nobody waits for any more.
    main.shutdown_background();
    served
}

/// Serves what runs on this machine, or the simulated engine.
fn serve_local() -> Result<(), String> {
    let inherited = Inherited::take()?;
    let main = runtime()?;
    let found = main.block_on(discover::engines());
    let (mut config, known) = local::config(&found)?;
    config.tracing.otlp = config::collector(&|name| env::var(name).ok())?;
    let greeting = |address, _: &Config, _: &Known| greeting::of_machine(address, &found);
    let served = serve(&main, config, known, None, inherited, &greeting);
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
    mut inherited: Inherited,
    greeting: Greeting<'_>,
) -> Result<(), String> {
    let log = log::init(&config.server.log);
    let _log = log.map_err(|error| format!("the program cannot log: {error}"))?;
    raise_file_limit();
    // Before anybody is told that it listens, and may send one.
    let signals = main.block_on(async { Signals::new() });
    let signals = signals.map_err(|error| format!("signals cannot be waited for: {error}"))?;
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = config.server.workers.map_or(cores, NonZeroUsize::get);
    let (listeners, operators) = sockets::listen(&config, workers, &mut inherited)?;
    let address = server::reachable(listeners.address());
    sockets::tell(&inherited, &listeners);
    let mut greeting = greeting(address, &config, &known);
    if let Some(operators) = &operators {
        let address = server::reachable(operators.address());
        // Memory does not refuse a write.
        let _ = writeln!(greeting, "Operators: http://{address}/metrics");
        match config.management.hears() {
            true => drop(writeln!(greeting, "  status page: http://{address}/")),
            false => tracing::warn!(
                "the operators' API is closed: set management.server.token, or a loopback address"
            ),
        }
    }
    announce(greeting)?;
    for section in &config.inactive {
        tracing::warn!(
            path = section.path,
            line = section.line,
            "not active yet: {}",
            section.what
        );
    }
    tracing::info!(%address, workers, "listening");
    let succession = Succession::new(inherited.predecessor.take(), operators.as_ref())
        .map_err(|error| format!("the listener of operators cannot be kept: {error}"))?;
    // What is not served is closed.
    drop(inherited);
    let mut program = Program::new(config, known, source)?;
    panics::watch(program.metrics().panics.clone());
    let mut exporter = program.exporter();
    let status = Arc::clone(program.status());
    let cores: Vec<_> = (0..workers).map(|_| program.core()).collect();
    let mut cores = cores.into_iter();
    let next = move || cores.next().expect("there is one for each listener");
    let asked = operators.map(|operators| operators.run(&program));
    let exported = OptionFuture::from(exporter.as_mut().map(Exporter::run));
    let background = async move {
        Box::pin(join3(program.run(), OptionFuture::from(asked), exported)).await;
    };
    server::run(main, listeners, succession, signals, &status, background, next)
        .map_err(|error| format!("the server failed: {error}"))?;
    if let Some(exporter) = exporter {
        main.block_on(exporter.flush());
    }
    tracing::info!("stopped");
    Ok(())
}

/// Every connection is a file, and the usual limit of a thousand is for programs that may be asked by `select`: as
/// many are taken as the system lets this one have.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// How long the start waits for whoever reads what it prints.
const ANNOUNCING: Duration = Duration::from_secs(1);

/// Prints for people, as far as anybody reads it: a pipe or a disk that is full keeps nobody from being served.
fn announce(text: String) -> Result<(), String> {
    let (done, said) = mpsc::sync_channel(1);
    let write = move || drop(done.send(say(&text)));
    let thread = thread::Builder::new().name("greeting".into()).spawn(write);
    thread.map_err(|error| format!("the program cannot run: {error}"))?;
    if let Ok(Err(error)) = said.recv_timeout(ANNOUNCING) {
        tracing::warn!(error, "nobody is told where it listens");
    }
    Ok(())
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
