//! `cargo run --release -p jairouter-simulation`: every experiment, into `docs/simulation`.

use std::io;
use std::path::PathBuf;

use jairouter_simulation::report::Report;
use jairouter_simulation::{EXPERIMENTS, Size, run};

const USAGE: &str = "jairouter-simulation [--quick] [--seed NUMBER] [--out FOLDER] [EXPERIMENT]…";

fn main() -> io::Result<()> {
    let (mut quick, mut seed, mut out, mut names) = (false, 7, None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--seed" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                seed = number.ok_or_else(|| io::Error::other(USAGE))?;
            }
            "--out" => out = arguments.next().map(PathBuf::from),
            name if EXPERIMENTS.contains(&name) => names.push(argument),
            _ => return Err(io::Error::other(USAGE)),
        }
    }
    // What is quick shows nothing worth keeping.
    let pages = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulation"));
    let folder = out.or_else(|| (!quick).then(pages));
    let size = if quick { Size::quick(seed) } else { Size::full(seed) };
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let names = if names.is_empty() { &EXPERIMENTS[..] } else { &names };
    run(size, names, &mut Report::new(&mut io::stdout().lock(), folder))
}
