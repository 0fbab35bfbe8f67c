//! The real program.

use std::env;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::until;

/// The line of a `model` section that turns probes off.
pub const UNPROBED: &str = "  health-check: { enabled: false }\n";

/// A running program. It is killed when this is dropped.
pub struct Gateway {
    child: Child,
    /// The process that serves: that one, or what has replaced it.
    pid: AtomicU32,
    address: SocketAddr,
    operators: OnceLock<SocketAddr>,
    told: Mutex<Receiver<SocketAddr>>,
    log: Arc<Mutex<String>>,
    config: NamedTempFile,
}

impl Gateway {
    /// Starts the program with this `model` section, and these lines under `server`.
    ///
    /// Instances are not probed unless the section says so: a test that counts requests would
    /// count the probes too, when it takes long enough for one.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn start_with(server: &str, model: &str) -> Self {
        Self::start_yaml(&configuration(server, model))
    }

    /// Replaces its configuration by one of this `model` section, and these lines under `server`, as an
    /// editor does that writes another file and gives it the name. It is not told.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn configure(&self, server: &str, model: &str) {
        self.write(&configuration(server, model));
    }

    /// The same with this text.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, yaml: &str) {
        let new = self.config.path().with_extension("new");
        std::fs::write(&new, yaml).expect("room for it");
        std::fs::rename(&new, self.config.path()).expect("it is ours");
    }

    /// Starts the program with this configuration, which should name port 0.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn start_yaml(yaml: &str) -> Self {
        let mut config = NamedTempFile::new().expect("a temporary file");
        config.write_all(yaml.as_bytes()).expect("room for it");
        let mut child = Command::new(program())
            .arg(config.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = log_of(&mut child);
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = out.lines().map_while(Result::ok);
        let line = lines.find_map(|line| {
            let (_, url) = line.split_once("listening on ")?;
            url.split_once("://").map(|(_, address)| address.to_owned())
        });
        let address = line.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            let status = child.wait();
            panic!(
                "it does not listen: {status:?}\n{}",
                log.lock().unwrap_or_else(PoisonError::into_inner)
            )
        });
        // What else it prints comes at the same time.
        let (tell, told) = sync_channel(1);
        thread::spawn(move || {
            for line in lines {
                let url = line.strip_prefix("Operators: http://");
                let address = url.and_then(|url| url.strip_suffix("/metrics")?.parse().ok());
                if let Some(address) = address {
                    let _ = tell.try_send(address);
                }
            }
        });
        let (operators, told) = (OnceLock::new(), Mutex::new(told));
        let pid = AtomicU32::new(child.id());
        Self { child, pid, address, operators, told, log, config }
    }

    /// Starts the program as systemd does that holds these sockets, and is to be told at that path when it
    /// serves.
    ///
    /// # Panics
    ///
    /// If it cannot.
    pub fn inheriting(
        yaml: &str,
        callers: &TcpListener,
        operators: &TcpListener,
        notify: &Path,
    ) -> Self {
        let mut config = NamedTempFile::new().expect("a temporary file");
        config.write_all(yaml.as_bytes()).expect("room for it");
        let socket = |socket: &TcpListener| {
            Stdio::from(OwnedFd::from(socket.try_clone().expect("another handle")))
        };
        // The shell gives them the numbers that a supervisor would.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec 3<&0 4<&1 </dev/null >&2; LISTEN_PID=$$ exec \"$0\" \"$1\""])
            .arg(program())
            .arg(config.path())
            .envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "http:operators")])
            .env("NOTIFY_SOCKET", notify)
            .stdin(socket(callers))
            .stdout(socket(operators))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = log_of(&mut child);
        let address = callers.local_addr().expect("it is bound");
        let operators = OnceLock::from(operators.local_addr().expect("it is bound"));
        let (pid, told) = (AtomicU32::new(child.id()), Mutex::new(sync_channel(1).1));
        Self { child, pid, address, operators, told, log, config }
    }

    /// Has the program replaced by what is started anew, and returns the process id of what was before.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub async fn replace(&self) -> u32 {
        let before = self.log().len();
        self.signal("USR2");
        until("it is replaced", || self.log()[before..].contains("replaced: ")).await;
        let log = self.log();
        let line = log[before..].lines().find(|line| line.contains("replaced: "));
        let (_, rest) = line.and_then(|line| line.split_once("\"pid\":")).expect("it says by whom");
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        self.pid.swap(digits.parse().expect("a process id"), Ordering::Relaxed)
    }

    /// What the program prints when it is given these arguments.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn run(arguments: &[&str]) -> String {
        let (printed, succeeded) = Self::try_run(arguments);
        assert!(succeeded, "{printed}");
        printed
    }

    /// The same, and whether it succeeds.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn try_run(arguments: &[&str]) -> (String, bool) {
        Self::try_run_with(&[], arguments)
    }

    /// The same with these variables in its environment.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn try_run_with(environment: &[(&str, &str)], arguments: &[&str]) -> (String, bool) {
        let mut command = Command::new(program());
        command.args(arguments).envs(environment.iter().copied());
        let output = command.output().expect("the program starts");
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&text).into_owned(), output.status.success())
    }

    /// Starts the program with one chat model `m` of these instances.
    pub fn start(urls: &[String]) -> Self {
        Self::start_with("", &model("", urls))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its configuration is.
    pub fn config_path(&self) -> PathBuf {
        self.config.path().to_owned()
    }

    /// Where operators ask.
    ///
    /// # Panics
    ///
    /// If it does not say where.
    pub fn operators(&self) -> SocketAddr {
        *self.operators.get_or_init(|| {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.recv_timeout(Duration::from_secs(5)).expect("it has a listener of operators")
        })
    }

    /// The id of the process that serves.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many files and sockets it has open.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        files.expect("it runs").count()
    }

    /// How much memory it has in use, in MiB.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> usize {
        self.status("VmRSS:") / 1024
    }

    /// The most it has had in use at a time, in MiB.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> usize {
        self.status("VmHWM:") / 1024
    }

    #[cfg(target_os = "linux")]
    fn status(&self, key: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        kib.expect("it has some")
    }

    /// Sends a signal by its name.
    ///
    /// # Panics
    ///
    /// If it cannot be sent.
    pub fn signal(&self, name: &str) {
        assert!(kill(name, self.pid()).expect("there is a kill command").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ended", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        })
        .await;
        status.expect("it ended")
    }

    /// Waits until it logged this.
    pub async fn logged(&self, text: &str) -> String {
        until("it was logged", || self.log().contains(text)).await;
        self.log()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.pid() != self.child.id() {
            let _ = kill("KILL", self.pid());
        }
    }
}

fn kill(name: &str, pid: u32) -> io::Result<ExitStatus> {
    let mut command = Command::new("kill");
    command.args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status()
}

/// What it writes to its standard error, as it comes.
fn log_of(child: &mut Child) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let (told, mut errors) = (Arc::clone(&log), child.stderr.take().expect("it is piped"));
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = errors.read(&mut bytes) {
            let mut log = told.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    });
    log
}

/// A configuration of this `model` section, and these lines under `server`.
fn configuration(server: &str, model: &str) -> String {
    let log = "log: { level: info, format: json }";
    let probes = if model.contains("health-check") { "" } else { UNPROBED };
    format!("server:\n  port: 0\n  {log}\n{server}model:\n{probes}{model}")
}

/// A `model` section of these lines and one chat model `m` of these instances, balanced round robin
/// and, unless the lines say how, not probed.
pub fn model(lines: &str, urls: &[String]) -> String {
    let mut model = format!(
        "  load-balance: {{ type: round-robin }}\n{lines}  services:\n    chat:\n      instances:\n"
    );
    for url in urls {
        // Memory does not refuse a write.
        let _ = writeln!(model, "        - {{ name: m, base-url: '{url}' }}");
    }
    model
}

/// Where the program is, built in the way this test is.
///
/// # Panics
///
/// If it does not build.
pub fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = env::current_exe().expect("it runs");
        let profile = test.ancestors().nth(2).expect("it is in deps, in a profile's folder");
        let mut build = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        build.args(["build", "--quiet", "-p", "jairouter-bin", "--target-dir"]);
        build.arg(profile.parent().expect("a profile is in the target folder"));
        // What cargo says of this test is not for that build: some build scripts run again for it.
        for (name, _) in env::vars_os() {
            let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
            if ours.iter().any(|start| name.to_string_lossy().starts_with(start)) {
                build.env_remove(name);
            }
        }
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("there is a cargo").success(), "the program builds");
        profile.join("jairouter")
    })
}

/// A little while: long enough for what should not happen to happen.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
