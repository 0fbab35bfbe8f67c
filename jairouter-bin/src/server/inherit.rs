//! Listening sockets that were there before the program: those a supervisor holds, and those of the
//! process that this one replaces.

use std::env;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use listenfd::ListenFd;
use socket2::SockRef;

use super::pass::{self, Part};

/// The name of the sockets that are for operators, in `LISTEN_FDNAMES`.
const OPERATORS: &str = "operators";

/// The most a supervisor is believed to pass.
const MOST: usize = 1024;

/// How long the process before this one may take to hand over what it has ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sockets to be served instead of new ones.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Those of callers.
    pub callers: Vec<TcpListener>,
    /// Those of operators.
    pub operators: Vec<TcpListener>,
    /// Whether a supervisor holds them, so that they are served wherever they listen.
    pub held: bool,
    /// Who waits to be told that this process serves.
    pub predecessor: Option<Predecessor>,
}

/// The process that this one replaces.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Lets it end.
    pub(super) fn replace(mut self) {
        // One that is gone needs no leave.
        let _ = self.0.write_all(&[pass::READY]);
    }
}

impl Inherited {
    /// What was handed to this process. To be called once, before there is another thread: what says so in
    /// the environment is removed from it.
    ///
    /// # Errors
    ///
    /// If something was that is no listening TCP socket, as text.
    pub fn take() -> Result<Self, String> {
        if env::var_os(pass::HANDED_OVER).is_some() {
            return handed_over()
                .map_err(|error| format!("what the process before this one hands over: {error}"));
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let count = env::var("LISTEN_FDS").unwrap_or_default();
        if !count.is_empty() && !count.parse().is_ok_and(|count: usize| count <= MOST) {
            return Err(format!("LISTEN_FDS is '{count}', and should be a number up to {MOST}"));
        }
        let mut given = ListenFd::from_env();
        let mut inherited = Self { held: given.len() > 0, ..Self::default() };
        let mut names = names.split(':');
        // All are taken before any is cloned: the clone would have the number of one that was not given.
        let mut taken = Vec::new();
        for index in 0..given.len() {
            let name = names.next().unwrap_or_default();
            let wrong = move |error| format!("socket {index} '{name}' of LISTEN_FDS: {error}");
            // Each is taken once.
            let socket = given.take_tcp_listener(index).map_err(wrong)?;
            taken.extend(socket.map(|socket| (name, wrong, socket)));
        }
        for (name, wrong, socket) in &taken {
            let socket = listening(socket).map_err(wrong)?;
            let name = *name;
            match name {
                OPERATORS => inherited.operators.push(socket),
                _ => inherited.callers.push(socket),
            }
        }
        Ok(inherited)
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty() && self.operators.is_empty()
    }
}

/// Where these listen, for people.
pub(crate) fn addresses(sockets: &[TcpListener]) -> String {
    let one = |socket: &TcpListener| socket.local_addr().ok();
    let mut addresses: Vec<SocketAddr> = sockets.iter().filter_map(one).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn handed_over() -> io::Result<Inherited> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut inherited = Inherited::default();
    loop {
        let (part, sockets) = pass::receive(&stream)?;
        let sockets = sockets.into_iter().map(|socket: OwnedFd| listening(&socket.into()));
        let sockets: io::Result<Vec<_>> = sockets.collect();
        match part {
            Part::Callers => inherited.callers.extend(sockets?),
            Part::Operators => inherited.operators.extend(sockets?),
            Part::Held => inherited.held = true,
            Part::End => break,
        }
    }
    inherited.predecessor = Some(Predecessor(stream));
    Ok(inherited)
}

/// This socket, if it listens; another handle of it, which ends with this process.
fn listening(socket: &TcpListener) -> io::Result<TcpListener> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    socket.local_addr().map_err(|_| wrong("it is no TCP socket"))?;
    #[cfg(target_os = "linux")]
    if !SockRef::from(socket).is_listener()? {
        return Err(wrong("it is a TCP socket that does not listen"));
    }
    SockRef::from(socket).set_nonblocking(true)?;
    socket.try_clone()
}
