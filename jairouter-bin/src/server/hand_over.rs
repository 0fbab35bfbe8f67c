//! Another process for this one: it is started with the listening sockets, and when it serves, this one may
//! end. They are open all the while, so nobody is refused and nobody who waits in them is lost.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::pass::{self, Part};

/// How long the new process may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sockets that another process is to have.
#[derive(Debug)]
pub(super) struct HandOver {
    pub(super) callers: Vec<TcpListener>,
    pub(super) operators: Option<TcpListener>,
    /// Whether a supervisor holds them, too.
    pub(super) held: bool,
}

impl HandOver {
    /// Starts the program that is now where this one was, with the same arguments, and returns its process
    /// id when it serves. If this is dropped before, it is killed.
    ///
    /// # Errors
    ///
    /// If it does not come to serve, as text.
    pub(super) async fn start(&self) -> Result<u32, String> {
        if std::process::id() == 1 {
            return Err("this process is the first of its container, which ends with it".to_owned());
        }
        let mut arguments = env::args_os();
        // Not `/proc/self/exe`: that is this program, also when another has taken its place.
        let program = arguments.next().ok_or("this process does not know its program")?;
        let mut command = Command::new(program);
        command.args(arguments);
        self.start_as(command, PATIENCE).await
    }

    async fn start_as(&self, mut command: Command, patience: Duration) -> Result<u32, String> {
        let failed = |error: io::Error| format!("it cannot be started: {error}");
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        command.env(pass::HANDED_OVER, "1").stdin(Stdio::from(OwnedFd::from(theirs)));
        let mut started = Started(Some(command.spawn().map_err(failed)?));
        // The other end in here would keep the new process from being seen to end.
        drop(command);
        // It is a few messages, which the socket holds until they are read. Why one that does not take them has
        // ended is told by its end.
        match self.send(&ours) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(format!("it does not take the sockets: {error}"));
            }
            _ => {}
        }
        let ours = ours.set_nonblocking(true).and_then(|()| UnixStream::from_std(ours));
        let serves = started.serves(ours.map_err(failed)?);
        match timeout(patience, serves).await {
            Ok(served) => served,
            Err(_) => Err(format!("it does not serve after {} s", patience.as_secs())),
        }
    }

    fn send(&self, to: &StdUnixStream) -> io::Result<()> {
        let callers: Vec<BorrowedFd<'_>> = self.callers.iter().map(AsFd::as_fd).collect();
        for some in callers.chunks(pass::MOST) {
            pass::send(to, Part::Callers, some)?;
        }
        if let Some(operators) = &self.operators {
            pass::send(to, Part::Operators, &[operators.as_fd()])?;
        }
        if self.held {
            pass::send(to, Part::Held, &[])?;
        }
        pass::send(to, Part::End, &[])
    }
}

/// A process that is killed unless it comes to serve.
struct Started(Option<Child>);

impl Started {
    async fn serves(&mut self, mut ours: UnixStream) -> Result<u32, String> {
        let child = self.0.as_mut().expect("it was started");
        let id = child.id();
        let mut word = [0];
        // Whatever else it does with its end, it does not serve.
        if ours.read_exact(&mut word).await.is_ok() && word == [pass::READY] {
            self.0 = None;
            return id.ok_or_else(|| "it has ended".to_owned());
        }
        match child.wait().await {
            Ok(status) => Err(format!("it ended before it served ({status})")),
            Err(error) => Err(format!("it cannot be waited for: {error}")),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // One that has ended cannot be killed.
            let _ = child.start_kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> HandOver {
        let callers = (0..100).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        HandOver { callers, operators: None, held: false }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_program_that_cannot_start_ends_or_is_silent_replaces_nothing() {
        let sockets = sockets();
        let nothing = sockets.start_as(Command::new("/nothing/here"), PATIENCE).await;
        assert!(nothing.unwrap_err().contains("cannot be started"));
        let ended = sockets.start_as(shell("exit 3"), PATIENCE).await.unwrap_err();
        assert!(ended.contains("ended before it served") && ended.contains('3'), "{ended}");
        let wrong = sockets.start_as(shell("printf x >&0"), PATIENCE).await.unwrap_err();
        assert!(wrong.contains("ended before it served"), "{wrong}");
        let begun = tokio::time::Instant::now();
        let silent = sockets.start_as(shell("exec sleep 60"), Duration::from_millis(200)).await;
        assert!(silent.unwrap_err().contains("does not serve after"));
        assert!(begun.elapsed() < Duration::from_secs(30), "it was not waited for");
    }

    #[tokio::test]
    async fn a_program_that_says_it_serves_is_known_by_its_id() {
        let id = sockets().start_as(shell("printf r >&0"), PATIENCE).await.unwrap();
        assert_ne!(id, std::process::id());
    }
}
