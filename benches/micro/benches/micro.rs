//! Times the cases, or does one of them so often: for an instruction counter.
//!
//! ```console
//! $ cargo bench -p jairouter-micro              # all of them
//! $ cargo bench -p jairouter-micro -- peek      # of one part
//! $ target/release/deps/micro-… list
//! $ target/release/deps/micro-… count peek/plain/0.5KiB 1000
//! ```

use std::io::{self, Write};

use divan::Bencher;
use jairouter_micro::{Case, Part, runtime};

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => {
            let mut out = io::stdout().lock();
            for part in Part::ALL {
                for case in part.cases() {
                    writeln!(out, "{part}/{case}")?;
                }
            }
        }
        ["count", name, times] => count(name, times.parse().map_err(io::Error::other)?)?,
        _ => {
            let runtime = runtime();
            let _entered = runtime.enter();
            divan::main();
        }
    }
    Ok(())
}

fn count(name: &str, times: u64) -> io::Result<()> {
    let runtime = runtime();
    let _entered = runtime.enter();
    let cases = Part::ALL.iter().flat_map(|part| {
        part.cases().into_iter().map(move |case| (format!("{part}/{case}"), case))
    });
    let case = cases.into_iter().find(|(called, _)| called == name);
    let (_, case) = case.ok_or_else(|| io::Error::other(format!("there is no case {name}")))?;
    let mut op = case.ready();
    for _ in 0..times {
        op();
    }
    // What it leaves behind is not the case's.
    std::mem::forget(op);
    Ok(())
}

/// One function for each part.
macro_rules! parts {
    ($($name:ident => $part:ident,)*) => {$(
        #[divan::bench(args = Part::$part.cases())]
        fn $name(bencher: Bencher<'_, '_>, case: &Case) {
            bencher.bench_local(case.ready());
        }
    )*};
}

parts! {
    stack => Stack,
    program => Program,
    peek => Peek,
    splice => Splice,
    select => Select,
    govern => Govern,
    streams => Streams,
    translate => Translate,
}
