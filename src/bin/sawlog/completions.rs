//! `sawlog completions`: what a shell needs to complete this command line.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Result;
use crate::output::Out;

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog completions bash > /etc/bash_completion.d/sawlog
  sawlog completions zsh  > ~/.zfunc/_sawlog
  sawlog completions fish > ~/.config/fish/completions/sawlog.fish";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sawlog", &mut script);
    let mut out = Out::new();
    out.line(String::from_utf8_lossy(&script).trim_end())?;
    out.flush()
}
