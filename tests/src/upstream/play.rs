//! Plays scripts on connections, and notes what comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::step::Step;
use super::wire::Wire;
use super::{Event, Events, ForRequest, Script, Seen, lock};

pub(super) async fn serve(listener: TcpListener, script: Arc<Script>, events: Arc<Events>) {
    let mut connections = tokio::task::JoinSet::new();
    let requests = Arc::new(AtomicUsize::new(0));
    for connection in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        let note = Note { events: Arc::clone(&events), connection };
        note.down(Seen::Connected);
        let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
        connections.spawn(async move {
            let end = match &*script {
                Script::Connections(script) => {
                    let steps = script(connection);
                    play(&mut Wire::new(stream), steps, &note).await.map(|_| Seen::Finished)
                }
                Script::Requests(script) => answer(stream, &**script, &requests, &note).await,
            };
            note.down(end.unwrap_or(Seen::Left));
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Where a connection notes what it sees.
struct Note {
    events: Arc<Events>,
    connection: usize,
}

impl Note {
    fn down(&self, seen: Seen) {
        let event = Event { at: Instant::now(), connection: self.connection, seen };
        lock(&self.events).push(event);
    }
}

async fn answer(
    stream: TcpStream,
    script: &ForRequest,
    requests: &AtomicUsize,
    note: &Note,
) -> io::Result<Seen> {
    let mut wire = Wire::new(stream);
    loop {
        let request = match wire.request().await {
            Err(_) if wire.pending.is_empty() => return Ok(Seen::Closed),
            request => request?,
        };
        let steps = {
            let text = String::from_utf8_lossy(&request);
            script(requests.fetch_add(1, Ordering::Relaxed), &text)
        };
        note.down(Seen::Request(request));
        match play(&mut wire, steps, note).await? {
            Play::On => note.down(Seen::Answered),
            Play::Over => return Ok(Seen::Finished),
        }
    }
}

/// Whether a connection goes on after its steps.
enum Play {
    On,
    Over,
}

async fn play(wire: &mut Wire, steps: Vec<Step>, note: &Note) -> io::Result<Play> {
    let _ = wire.stream.set_nodelay(true);
    for step in steps {
        match step {
            Step::Read => {
                let request = wire.request().await?;
                note.down(Seen::Request(request));
            }
            Step::Send(bytes) => wire.stream.write_all(&bytes).await?,
            Step::Chunk(bytes) => {
                let head = format!("{:x}\r\n", bytes.len());
                wire.stream.write_all(&[head.as_bytes(), &bytes, b"\r\n"].concat()).await?;
            }
            Step::LastChunk => wire.stream.write_all(b"0\r\n\r\n").await?,
            Step::Sleep(time) => tokio::select! {
                () = sleep(time) => {}
                gone = wire.gone() => return Err(gone),
            },
            Step::Wait(told) => tokio::select! {
                () = told.notified() => {}
                gone = wire.gone() => return Err(gone),
            },
            Step::Ignore(time) => sleep(time).await,
            Step::Stall => return Err(wire.gone().await),
            Step::Fin => {
                wire.stream.shutdown().await?;
                return Ok(Play::Over);
            }
            Step::Rst => {
                // Nothing lingers: closing is a reset.
                SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO))?;
                return Ok(Play::Over);
            }
        }
    }
    Ok(Play::On)
}
