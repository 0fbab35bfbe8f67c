//! What the operating system says of a process, and on which core it is.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Failure;

/// The core of the gateways, and that of everybody else.
pub(crate) const GATEWAY: usize = 0;
pub(crate) const OTHERS: usize = 1;

/// A process, and the processes it has started.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it, as [`pinned`] makes it.
    pub(crate) fn start(mut command: Command) -> Result<Self, Failure> {
        Ok(Self { child: command.spawn()? })
    }

    /// The time on a core that it has had so far.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let mut nanoseconds = 0;
        for process in self.family()? {
            // Each thread's: those of the process are of its first thread alone.
            for task in fs::read_dir(format!("/proc/{process}/task"))? {
                let path = task?.path().join("schedstat");
                // A thread may end meanwhile.
                let Ok(text) = fs::read_to_string(path) else { continue };
                let on_core = text.split(' ').next().ok_or("there is no schedstat")?;
                nanoseconds += on_core.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The memory that is resident for it, in KiB.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let mut kib = 0;
        for process in self.family()? {
            let text = fs::read_to_string(format!("/proc/{process}/status"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kib += number.ok_or("there is no VmRSS")?.parse::<u64>()?;
        }
        Ok(kib)
    }

    fn family(&self) -> Result<Vec<u32>, Failure> {
        let own = self.child.id();
        let mut family = vec![own];
        for task in fs::read_dir(format!("/proc/{own}/task"))? {
            let Ok(text) = fs::read_to_string(task?.path().join("children")) else { continue };
            family.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        Ok(family)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is told to end, so that it takes with it whom it has started; not by SIGINT, to which whoever was started
        // in the background is deaf.
        let id = self.child.id().to_string();
        drop(Command::new("kill").arg("-TERM").arg(id).status());
        drop(self.child.wait());
    }
}

/// This program on the gateways' core.
pub(crate) fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(GATEWAY.to_string()).arg(program);
    command
}

/// Keeps this process off the gateways' core.
pub(crate) fn pin_this() -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    cores.set(OTHERS);
    sched_setaffinity(None, &cores).map_err(|error| {
        format!("two cores are needed, one of them for the gateway alone: {error}").into()
    })
}

/// How many files a process may have open.
pub(crate) fn most_files() -> usize {
    let text = fs::read_to_string(Path::new("/proc/self/limits")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
    hard.parse().unwrap_or(usize::MAX)
}

/// Prints for people, as far as anybody reads it.
pub(crate) fn tell(text: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
