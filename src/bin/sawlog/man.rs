//! `sawlog man`: the manual page, with a section for each command.

use clap::CommandFactory;
use clap_mangen::Man;

use crate::Cli;
use crate::failure::{Failure, Result};
use crate::output::Out;

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog man | man -l -
  sawlog man > /usr/local/share/man/man1/sawlog.1";

/// See the file's text.
pub(crate) fn run() -> Result<()> {
    let mut page = Vec::new();
    write(&mut page).map_err(|e| Failure::Broken(format!("making the page: {e}")))?;
    let mut out = Out::new();
    out.line(String::from_utf8_lossy(&page).trim_end())?;
    out.flush()
}

fn write(page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = Cli::command();
    command.build();
    Man::new(command.clone()).render(page)?;
    for each in command.get_subcommands().filter(|each| !each.is_hide_set() && each.get_name() != "help") {
        // A heading of its own, and what `--help` says.
        page.extend_from_slice(format!(".SH \"SAWLOG {}\"\n", each.get_name().to_uppercase()).as_bytes());
        let man = Man::new(each.clone());
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        man.render_extra_section(page)?;
    }
    Ok(())
}
