//! Rust source as the laws of the house see it: without comments, strings and tests, and with its paths resolved.
//!
//! A reader of text, no compiler: it knows braces, paths and `use` trees, and that is enough for house laws.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One file below `src/`.
#[derive(Debug)]
pub struct Source {
    /// Below `src/`, such as `disk/os.rs`.
    pub path: String,
    /// As it stands on the disk.
    pub text: String,
    /// The same lines and columns, but spaces for comments, strings and test items.
    pub code: String,
    /// How many lines are left when test items are taken out.
    pub lines: usize,
}

/// A path that a file names, such as `crate::disk::Disk`, and what it stands for.
#[derive(Debug)]
pub struct Reference {
    pub line: usize,
    /// The module, from the crate's root: `["disk"]`. Empty if the crate's root itself was named.
    pub module: Vec<String>,
}

/// All files of a crate.
#[derive(Debug)]
pub struct Tree {
    pub files: Vec<Source>,
    modules: BTreeSet<Vec<String>>,
    /// What a module passes on from its children: (module, name) → child.
    passed_on: BTreeMap<(Vec<String>, String), String>,
}

impl Tree {
    /// The crate that this test belongs to.
    pub fn ours() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                    files.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        files.sort();
        Tree::new(files)
    }

    pub fn new(files: Vec<(String, String)>) -> Tree {
        let files: Vec<Source> = files
            .into_iter()
            // Test files are under no law of layout; they are all-or-nothing like test modules.
            .filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"))
            .map(|(path, text)| {
                let clean = clean(&text);
                let (code, removed) = without_tests(&clean);
                let lines = text.lines().count() - removed;
                Source { path, text, code, lines }
            })
            .collect();
        let modules: BTreeSet<_> =
            files.iter().filter(|f| !f.is_tool()).map(Source::module).filter(|m| !m.is_empty()).collect();
        let mut passed_on = BTreeMap::new();
        for file in files.iter().filter(|f| !f.is_tool()) {
            let module = file.module();
            for (at, _) in words(&file.code, "use") {
                for path in use_tree(&file.code[at + 3..]) {
                    let (Some(first), Some(last)) = (path.first(), path.last()) else { continue };
                    if modules.contains(&[module.clone(), vec![first.clone()]].concat()) && path.len() > 1 {
                        passed_on.insert((module.clone(), last.clone()), first.clone());
                    }
                }
            }
        }
        Tree { files, modules, passed_on }
    }

    /// Every path in a file that begins at this crate's root or beside the file.
    pub fn references(&self, file: &Source) -> Vec<Reference> {
        let mut found = Vec::new();
        for start in ["crate", "super", "self"] {
            for (at, line) in words(&file.code, start) {
                // Inside a longer path, such as the second `super` of two.
                let inner = file.code[..at].trim_end().ends_with("::");
                if !inner && file.code[at + start.len()..].trim_start().starts_with("::") {
                    let from = file.module_at(at);
                    let paths = use_tree(&file.code[at..]).into_iter();
                    found.extend(paths.map(|p| Reference { line, module: self.resolve(&from, &p) }));
                }
            }
        }
        found
    }

    fn resolve(&self, from: &[String], path: &[String]) -> Vec<String> {
        let mut at: Vec<String> = if path[0] == "crate" { Vec::new() } else { from.to_vec() };
        let mut names = path.iter().peekable();
        while let Some(word) = names.next_if(|w| ["crate", "super", "self"].contains(&w.as_str())) {
            if word == "super" {
                at.pop();
            }
        }
        for name in names {
            while let Some(child) = self.passed_on.get(&(at.clone(), name.clone())) {
                at.push(child.clone());
            }
            let deeper = [at.clone(), vec![name.clone()]].concat();
            if !self.modules.contains(&deeper) {
                break;
            }
            at = deeper;
        }
        at
    }
}

impl Source {
    /// Its module, from the crate's root; empty for the root itself.
    pub fn module(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let stem = stem.trim_end_matches("/mod");
        if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
    }

    /// The module of one place in it: its own, or one written out inside it.
    fn module_at(&self, at: usize) -> Vec<String> {
        let mut module = self.module();
        for (start, _) in words(&self.code[..at], "mod") {
            let rest = &self.code[start + 3..];
            let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
            if start + 3 + item_end(rest) > at {
                module.push(name);
            }
        }
        module
    }

    /// The first name of its module.
    pub fn room(&self) -> String {
        self.module().first().cloned().unwrap_or_default()
    }

    /// The tool is a crate of its own.
    pub fn is_tool(&self) -> bool {
        self.path.starts_with("bin/")
    }

    /// The line (from 1) of each place where `text` stands in the code as a whole word or path.
    pub fn lines_with(&self, text: &str) -> Vec<usize> {
        words(&self.code, text).into_iter().map(|(_, line)| line).collect()
    }

    /// The line of each path into the standard library that begins with `prefix`, `use` trees unfolded.
    pub fn lines_using_std(&self, prefix: &[&str]) -> Vec<usize> {
        let mut lines = Vec::new();
        for (at, line) in words(&self.code, "std") {
            let named = use_tree(&self.code[at..]);
            if named.iter().any(|p| p.iter().zip(prefix).filter(|(a, b)| a == b).count() == prefix.len()) {
                lines.push(line);
            }
        }
        lines
    }

    /// Name, first line and length in lines of each function that has a body.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for (at, line) in words(&self.code, "fn") {
            let rest = &self.code[at + 2..];
            let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
            let end = item_end(rest);
            if !name.is_empty() && rest[..end].trim_end().ends_with('}') {
                found.push((name, line, rest[..end].matches('\n').count() + 1));
            }
        }
        found
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Each place of `word` that is not part of a longer name, with its line.
fn words(code: &str, word: &str) -> Vec<(usize, usize)> {
    let places = code.match_indices(word).map(|(at, _)| at).filter(|at| {
        let before = code[..*at].chars().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].chars().next().is_some_and(is_word);
        !before && !after
    });
    places.map(|at| (at, code[..at].matches('\n').count() + 1)).collect()
}

/// The paths of a `use` tree, or the one path of an expression, that stands at the front of `code`.
fn use_tree(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    unfold(code, &[], &mut paths);
    paths
}

/// Adds the paths at the front of `code`, all under `prefix`; returns what follows them.
fn unfold<'a>(code: &'a str, prefix: &[String], paths: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = code.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = unfold(inner, &path, paths).trim_start();
                match inner.chars().next() {
                    Some(',') => inner = &inner[1..],
                    Some('}') => return &inner[1..],
                    _ => return inner,
                }
            }
        }
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if len > 0 {
            path.push(rest[..len].to_owned());
        }
        rest = rest[len..].trim_start();
        match rest.strip_prefix("::") {
            Some(more) => rest = more.trim_start(),
            None => break,
        }
        // A glob, or a type's own parameters: the path is told so far.
        if rest.starts_with(['*', '<']) {
            rest = rest[1..].trim_start();
            break;
        }
    }
    if path.len() > prefix.len() {
        paths.push(path);
    }
    match rest.strip_prefix("as ") {
        Some(alias) => alias.trim_start().trim_start_matches(is_word),
        None => rest,
    }
}

/// The end of the item at the front of `code`: behind its `;` or its closing brace.
fn item_end(code: &str) -> usize {
    let (mut round, mut curly) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            '{' => curly += 1,
            '}' => {
                curly -= 1;
                if curly <= 0 && round <= 0 {
                    return at + 1;
                }
            }
            ';' if round <= 0 && curly == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Spaces in the place of every item marked `#[cfg(test)]`, and how many lines that took.
fn without_tests(code: &str) -> (String, usize) {
    let (mut out, mut removed) = (code.to_owned(), 0);
    while let Some(at) = ["#[cfg(test)]", "#[cfg(all(test"].iter().filter_map(|mark| out.find(mark)).min() {
        let mut from = at;
        while out[from..].trim_start().starts_with('#') {
            let bracket = from + out[from..].find('[').unwrap();
            from = bracket + item_end_of_attribute(&out[bracket..]);
        }
        let end = from + item_end(&out[from..]);
        removed += out[at..end].matches('\n').count() + 1;
        let blank: String = out[at..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    (out, removed)
}

fn item_end_of_attribute(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        depth += i32::from(c == '[') - i32::from(c == ']');
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// Spaces in the place of comments, strings and characters; every line keeps its number.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let in_name = out.chars().next_back().is_some_and(is_word);
        let len = not_code(rest, in_name).unwrap_or(0);
        if len == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.extend(rest[..len].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[len..];
        }
    }
    out
}

/// How many bytes of comment, string or character stand at the front.
fn not_code(rest: &str, in_name: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(closing(rest, 1, '"'));
    }
    let raw = ["r", "br", "cr"].iter().find_map(|p| rest.strip_prefix(p).filter(|_| !in_name));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &raw[hashes + 1..];
            let len = body.find(&end).map_or(body.len(), |at| at + end.len());
            return Some(rest.len() - body.len() + len);
        }
    }
    let mut after_quote = rest.strip_prefix('\'')?.chars();
    let first = after_quote.next()?;
    if first == '\\' {
        return Some(closing(rest, 1, '\''));
    }
    // A lifetime has no closing quote behind its first letter.
    (after_quote.next() == Some('\'')).then(|| first.len_utf8() + 2)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let step = &rest.as_bytes()[at..];
        depth += i32::from(step.starts_with(b"/*")) - i32::from(step.starts_with(b"*/"));
        at += if step.starts_with(b"/*") || step.starts_with(b"*/") { 2 } else { 1 };
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Behind the closing quote; a backslash takes the character behind it along.
fn closing(rest: &str, from: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest[from..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return from + at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}
