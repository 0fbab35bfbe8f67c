//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// How the program ends, for the help of every command.
const EXIT: &str = "Exit codes:
  0  it did what it was asked: served until it was told to end, or found nothing wrong
  1  it could not: the file is wrong or cannot be read, an instance is not well, a port is taken
  2  the command line is wrong";

const EXAMPLES: &str = "Examples:
  jairouter                                  serve the engines of this machine
  jairouter check jairouter.yaml             say OK, or every error with its line
  jairouter doctor jairouter.yaml            ask every instance how it is
  jairouter jairouter.yaml                   serve
  kill -HUP PID                              read the file again (so does changing it)
  jairouter keys new alice                   make a key for alice
  jairouter import litellm config.yaml >jairouter.yaml";

/// An OpenAI-compatible gateway in front of the inference engines you run.
#[derive(Debug, Parser)]
#[command(name = "jairouter", version, about, args_conflicts_with_subcommands = true)]
#[command(after_help = EXIT, after_long_help = format!("{EXAMPLES}\n\n{EXIT}\n\nEnvironment:\n  RUST_LOG  what is logged, \
          before server.log.level\n  others    wherever the file says ${{NAME}} or ${{NAME:default}}"))]
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
    #[command(
        after_help = "Exit codes:\n  0  it can be served\n  1  it cannot, and standard error says why"
    )]
    Check {
        /// The configuration, in YAML.
        config: PathBuf,
    },
    /// Ask every instance how it is and which models it has, and say what is wrong.
    #[command(
        after_help = "Exit codes:\n  0  every instance is well\n  1  at least one is not, or the file is wrong"
    )]
    Doctor {
        /// The configuration, in YAML.
        config: PathBuf,
    },
    /// List which models are served, and by which instances.
    #[command(after_help = EXIT)]
    Models {
        /// The configuration, in YAML.
        config: PathBuf,
    },
    /// Show how a running gateway is: live in a terminal, once otherwise.
    ///
    /// The token that its operators have to show, if there is one, is taken from the environment's
    /// `JAIROUTER_OPERATORS_TOKEN`.
    #[command(after_help = "Examples:
  jairouter status
  jairouter status --once http://gateway:8081
  jairouter status --json | jq '.services[].instances[] | select(.state != \"up\")'
Exit codes:
  0  it is shown
  1  it cannot be asked, or refuses")]
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
    /// Print the configuration of another gateway as one of ours.
    ///
    /// What has no counterpart here is said on standard error with its line, and in a comment of what is printed.
    #[command(after_help = "Examples:
  jairouter import litellm config.yaml >jairouter.yaml
  jairouter import olla olla.yaml >jairouter.yaml
  jairouter import nginx-upstream /etc/nginx/conf.d/llm.conf >jairouter.yaml

Exit codes:
  0  it is printed, whatever had to be left out
  1  the file cannot be read, or there is nothing in it to serve")]
    Import {
        /// Whose configuration it is.
        from: Foreign,
        /// The file; - is standard input.
        file: PathBuf,
    },
    /// Print the configuration as a JSON Schema, for editors.
    #[command(after_help = "Example:
  jairouter schema >jairouter.schema.json
and as the first line of the configuration:
  # yaml-language-server: $schema=jairouter.schema.json")]
    Schema,
    /// Keys for those who may ask.
    #[command(subcommand)]
    Keys(Keys),
    /// Print what completes this command line in a shell.
    #[command(after_help = "Examples:
  jairouter completions bash >~/.local/share/bash-completion/completions/jairouter
  jairouter completions zsh >~/.zfunc/_jairouter
  jairouter completions fish >~/.config/fish/completions/jairouter.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  jairouter man >/usr/local/share/man/man1/jairouter.1")]
    Man,
}

/// Whose configurations are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Foreign {
    /// The LiteLLM proxy's config.yaml.
    Litellm,
    /// Olla's configuration.
    Olla,
    /// A file of nginx with an upstream, and perhaps a server that passes to it.
    NginxUpstream,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key, and print it once, with what the configuration says of it.
    #[command(after_help = "Example:\n  jairouter keys new alice")]
    New {
        /// What its holder is called in the configuration and in logs.
        name: String,
    },
}
