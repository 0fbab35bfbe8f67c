//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// An OpenAI-compatible gateway in front of the inference engines you run.
#[derive(Debug, Parser)]
#[command(name = "jairouter", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The configuration, in YAML. Without one, the engines on this machine's usual ports are
    /// served, or a simulated one if there is none.
    pub config: Option<PathBuf>,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration: say OK, or every error with its line.
    Check {
        /// The configuration, in YAML.
        config: PathBuf,
    },
    /// Ask every instance how it is and which models it has, and say what is wrong: exit code 1 if anything
    /// is.
    Doctor {
        /// The configuration, in YAML.
        config: PathBuf,
    },
    /// List which models are served, and by which instances.
    Models {
        /// The configuration, in YAML.
        config: PathBuf,
    },
    /// Show how a running gateway is: live in a terminal, once otherwise. The token that its operators have to
    /// show, if there is one, is taken from the environment's `JAIROUTER_OPERATORS_TOKEN`.
    Status {
        /// Where its operators ask.
        #[arg(default_value = "http://127.0.0.1:8081")]
        url: String,
        /// Print it once.
        #[arg(long)]
        once: bool,
        /// Print it once, as JSON.
        #[arg(long, conflicts_with = "once")]
        json: bool,
    },
    /// Keys for those who may ask.
    #[command(subcommand)]
    Keys(Keys),
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key, and print it once, with what the configuration says of it.
    New {
        /// What its holder is called in the configuration and in logs.
        name: String,
    },
}
