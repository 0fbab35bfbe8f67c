//! Who is measured, each with what its own manual says makes it fast.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::answer::Connection;
use crate::ask::request;
use crate::engine::Wanted;
use crate::process::{Process, pinned};
use crate::{Failure, Run};

/// A gateway, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gateway {
    /// The callers are at the engines themselves: what everything else is added to.
    None,
    /// This one, with all it has.
    Jairouter,
    /// nginx, which looks at nothing and logs nothing.
    Nginx,
    /// The proxy of a hundred lines on hyper.
    Hyper,
}

impl Gateway {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Jairouter, Self::Nginx, Self::Hyper];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no gateway",
            Self::Jairouter => "jairouter",
            Self::Nginx => "nginx",
            Self::Hyper => "hyper",
        }
    }
}

/// One that runs.
pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    /// Where callers go.
    pub(crate) address: SocketAddr,
    pub(crate) process: Option<Process>,
    /// How long it took from its start to its first answer of 200.
    pub(crate) start: Duration,
    /// Where its files are.
    _files: TempDir,
}

impl Running {
    /// Starts it, and waits until it answers.
    pub(crate) async fn start(
        gateway: Gateway,
        run: &Run,
        engines: &[SocketAddr],
    ) -> Result<Self, Failure> {
        let files = tempfile::tempdir()?;
        let (address, operators) = (free()?, free()?);
        let path = |name: &str| files.path().join(name);
        let mut command = match gateway {
            Gateway::None => {
                return Ok(Self {
                    gateway,
                    address: engines[0],
                    process: None,
                    start: Duration::ZERO,
                    _files: files,
                });
            }
            Gateway::Jairouter => {
                let config = jairouter(address, operators, engines, &run.without);
                fs::write(path("jairouter.yaml"), config)?;
                let mut command = pinned(&run.jairouter);
                command.arg(path("jairouter.yaml"));
                command
            }
            Gateway::Nginx => {
                fs::create_dir(path("logs"))?;
                fs::write(path("nginx.conf"), nginx(address, engines))?;
                let nginx = run.nginx.as_ref().ok_or("there is no nginx")?;
                let mut command = pinned(nginx);
                command.arg("-p").arg(files.path()).arg("-c").arg(path("nginx.conf"));
                command
            }
            Gateway::Hyper => {
                let mut command = pinned(&std::env::current_exe()?);
                command.args(["hyper", "--listen", &address.to_string()]);
                for engine in engines {
                    command.args(["--to", &engine.to_string()]);
                }
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(path("log"))?);
        let begun = Instant::now();
        let process = Process::start(command)?;
        while let Err(why) = first(address).await {
            if begun.elapsed() > Duration::from_secs(10) {
                let log = fs::read_to_string(path("log")).unwrap_or_default();
                let log = log.lines().take(3).collect::<Vec<_>>().join("\n");
                return Err(format!("{} does not answer: {why}\n{log}", gateway.name()).into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        let (start, process) = (begun.elapsed(), Some(process));
        Ok(Self { gateway, address, process, start, _files: files })
    }
}

/// Whether it answers.
async fn first(address: SocketAddr) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    connection.stream.write_all(&request(512, Wanted::default())).await?;
    connection.whole().await?;
    Ok(())
}

/// An address at which nobody listens.
fn free() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Everything is switched on.
fn jairouter(
    address: SocketAddr,
    operators: SocketAddr,
    engines: &[SocketAddr],
    without: &[String],
) -> String {
    let with = |what: &str| !without.iter().any(|without| without == what);
    let level = if with("log") { "info" } else { "warn" };
    let mut text = format!(
        "server:\n  port: {}\n  log: {{ level: {level}, format: json }}\n\
         management:\n  server: {{ port: {} }}\n",
        address.port(),
        operators.port()
    );
    // A string takes all there is.
    if with("keys") {
        let digest = digest();
        let _ =
            write!(text, "security:\n  api-keys:\n    - name: bench\n      digest: \"{digest}\"\n");
        if with("limits") {
            text.push_str("      requests-per-minute: 100000000\n      concurrency: 100000\n");
        }
        if with("tokens") {
            text.push_str("      tokens-per-minute: 1000000000\n");
        }
    }
    text.push_str(
        "model:\n  adapter: vllm\n  load-balance: { type: least-connections }\n  \
         circuit-breaker: { enabled: true, failure-rate-percent: 50 }\n  \
         health-check: { interval: 5s }\n",
    );
    let limit = "enabled: true, capacity: 1000000, rate: 1000000";
    if with("limits") {
        let tokens = if with("tokens") { ", tokens-per-minute: 1000000000" } else { "" };
        let _ = write!(
            text,
            "  concurrency: {{ limit: 20000, model-limit: 100000, client-limit: 100000, queue: 64 }}\n  \
             rate-limit: {{ {limit}, client-ip-enable: true{tokens} }}\n"
        );
    }
    text.push_str("  services:\n    chat:\n");
    if with("limits") {
        let _ = writeln!(text, "      rate-limit: {{ {limit}, scope: model }}");
    }
    text.push_str("      instances:\n");
    for engine in engines {
        let _ = writeln!(text, "        - name: bench\n          base-url: \"http://{engine}\"");
        if with("limits") {
            let _ = writeln!(text, "          rate-limit: {{ {limit}, scope: instance }}");
        }
    }
    text
}

fn digest() -> &'static str {
    // What `printf %s KEY | sha256sum` prints.
    "sha256:ec96c458ecfbfdcdc47fdb7875876831f120641ae4fd7045286d7601973ec70f"
}

/// One process on one core, connections kept on both sides, no log, and nothing kept on disk.
fn nginx(address: SocketAddr, engines: &[SocketAddr]) -> String {
    let mut text = String::from(
        "daemon off;\nworker_processes 1;\nworker_rlimit_nofile 100000;\npid nginx.pid;\n\
         error_log logs/error.log crit;\n\
         events { worker_connections 40000; use epoll; multi_accept on; }\n\
         http {\n  access_log off;\n  keepalive_requests 100000000;\n  keepalive_timeout 75s;\n  \
         tcp_nodelay on;\n  client_max_body_size 32m;\n  client_body_buffer_size 512k;\n  \
         client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n  \
         uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n  upstream engines {\n",
    );
    for engine in engines {
        let _ = writeln!(text, "    server {engine};");
    }
    let _ = write!(
        text,
        "    keepalive 1024;\n    keepalive_requests 100000000;\n  }}\n  server {{\n    \
         listen {address} backlog=4096;\n    \
         location / {{\n      proxy_pass http://engines;\n      proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\";\n      proxy_buffering off;\n      \
         proxy_read_timeout 3600s;\n    }}\n  }}\n}}\n"
    );
    text
}
