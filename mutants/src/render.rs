//! A file's text with all of its changes in it, each behind its switch.

use crate::sites::{Form, Site};

/// Changes of one file, by their numbers; those that do not build are left out.
pub(crate) fn render(source: &str, sites: &[(u32, &Site)]) -> String {
    let mut order: Vec<_> = sites.iter().collect();
    // What holds others comes before them; of equals, the one that was found first.
    order.sort_by_key(|(_, site)| (site.at.start, std::cmp::Reverse(site.at.end)));
    let mut out = String::with_capacity(source.len() * 2);
    piece(source, 0, source.len(), &order, &mut out);
    out
}

/// The text from `start` to `end`, in which all of `sites` lie.
fn piece(source: &str, start: usize, end: usize, sites: &[&(u32, &Site)], out: &mut String) {
    let (mut at, mut next) = (start, 0);
    while let Some((number, site)) = sites.get(next) {
        let inner = sites[next + 1..].iter().take_while(|(_, other)| is_within(site, other)).count();
        out.push_str(&source[at..site.at.start]);
        let mut within = String::new();
        piece(source, site.at.start, site.at.end, &sites[next + 1..next + 1 + inner], &mut within);
        out.push_str(&form(&site.form, *number, &within));
        at = site.at.end;
        next += 1 + inner;
    }
    out.push_str(&source[at..end]);
}

/// What begins at `other` or before was sorted before it, so only the ends tell.
fn is_within(site: &Site, other: &Site) -> bool {
    other.at.start < site.at.end && other.at.end <= site.at.end
}

fn form(form: &Form, number: u32, within: &str) -> String {
    let on = format!("crate::mutant({number})");
    match form {
        Form::Instead(other) => format!("(if {on} {{ {other} }} else {{ {within} }})"),
        Form::Always => format!("({on} || ({within}))"),
        Form::Never => format!("(!{on} && ({within}))"),
        Form::Without => format!(" if !{on}"),
        Form::Return(value) => format!(" if {on} {{ return {value}; }} "),
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
