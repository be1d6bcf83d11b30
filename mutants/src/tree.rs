//! A copy of the repository with all changes in it, and what the compiler says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::render::render;
use crate::sites::{self, Site};

/// What asks which change is on: once, from the environment.
const SWITCH: &str = r#"
/// Which change of the source is on.
#[doc(hidden)]
#[must_use]
pub fn mutant(number: u32) -> bool {
    static ON: std::sync::LazyLock<u32> =
        std::sync::LazyLock::new(|| std::env::var("SAWLOG_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
    *ON == number
}
"#;

pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// A change and its number; 0 is none.
pub(crate) struct Mutant {
    pub(crate) number: u32,
    pub(crate) file: PathBuf,
    pub(crate) site: Site,
}

impl Mutant {
    pub(crate) fn name(&self) -> String {
        let what = self.site.what.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}:{}:{}: {what}", self.file.display(), self.site.line, self.site.column)
    }
}

pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    sources: BTreeMap<PathBuf, String>,
    pub(crate) mutants: Vec<Mutant>,
    unviable: BTreeSet<u32>,
}

impl Tree {
    /// Copies what git knows of `repository` to `root`, and finds the changes of the files below `folders`.
    pub(crate) fn new(repository: &Path, root: &Path, folders: &[PathBuf]) -> Result<Tree, Problem> {
        let files = Command::new("git").arg("-C").arg(repository).args(["ls-files", "-z"]).output()?;
        let mut tree = Tree {
            root: root.to_owned(),
            sources: BTreeMap::new(),
            mutants: Vec::new(),
            unviable: BTreeSet::new(),
        };
        for file in String::from_utf8(files.stdout)?.split_terminator('\0').map(Path::new) {
            let (from, to) = (repository.join(file), root.join(file));
            let is_source = file.extension().is_some_and(|end| end == "rs") && !is_for_tests(file);
            if is_source && folders.iter().any(|folder| file.starts_with(folder)) {
                // Written by `settle`.
                tree.add(file, std::fs::read_to_string(from)?)?;
                continue;
            }
            let mut bytes = std::fs::read(from)?;
            if file == Path::new("src/lib.rs") {
                bytes.extend_from_slice(SWITCH.as_bytes());
            }
            put(&to, &bytes)?;
        }
        Ok(tree)
    }

    fn add(&mut self, file: &Path, source: String) -> Result<(), Problem> {
        for site in sites::of(&source)? {
            let number = u32::try_from(self.mutants.len())? + 1;
            self.mutants.push(Mutant { number, file: file.to_owned(), site });
        }
        self.sources.insert(file.to_owned(), source);
        Ok(())
    }

    pub(crate) fn viable(&self) -> impl Iterator<Item = &Mutant> {
        self.mutants.iter().filter(|mutant| !self.unviable.contains(&mutant.number))
    }

    /// Writes the sources and leaves out what does not build, until all that is left does.
    pub(crate) fn settle(&mut self) -> Result<(), Problem> {
        loop {
            let mut texts = BTreeMap::new();
            for (file, source) in &self.sources {
                let sites: Vec<_> = self
                    .viable()
                    .filter(|mutant| mutant.file == *file)
                    .map(|mutant| (mutant.number, &mutant.site))
                    .collect();
                let text = render(source, &sites);
                put(&self.root.join(file), text.as_bytes())?;
                texts.insert(file.clone(), text);
            }
            let output = self.cargo(&["check", "--lib", "--message-format=json"])?;
            let before = self.unviable.len();
            let mut said = String::new();
            for message in messages(&output.stdout) {
                if message["reason"] == "compiler-message" && message["message"]["level"] == "error" {
                    said += message["message"]["rendered"].as_str().unwrap_or_default();
                    self.unviable.extend(blamed(&message["message"], &texts));
                }
            }
            eprintln!("{} of {} changes do not build", self.unviable.len(), self.mutants.len());
            if output.status.success() {
                return Ok(());
            }
            if self.unviable.len() == before {
                let cargo = String::from_utf8_lossy(&output.stderr);
                return Err(format!("it does not build, and no change is to blame:\n{said}{cargo}").into());
            }
        }
    }

    /// The test programs of these suites, built with every change in them.
    pub(crate) fn build(&self, suites: &[String]) -> Result<Vec<(String, PathBuf)>, Problem> {
        let mut arguments = vec!["test", "--no-run", "--message-format=json"];
        for suite in suites {
            match suite.as_str() {
                "lib" => arguments.push("--lib"),
                other => arguments.extend(["--test", other]),
            }
        }
        let output = self.cargo(&arguments)?;
        if !output.status.success() {
            return Err(format!("the tests do not build: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let mut found = Vec::new();
        for message in messages(&output.stdout) {
            let Some(program) = message["executable"].as_str() else { continue };
            let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
            let name =
                if kind == "lib" { "lib" } else { message["target"]["name"].as_str().unwrap_or_default() };
            found.push((name.to_owned(), PathBuf::from(program)));
        }
        // In the order that was asked for: what is quick and finds much comes first.
        let order = |name: &str| suites.iter().position(|suite| suite == name);
        found.retain(|(name, _)| order(name).is_some());
        found.sort_by_key(|(name, _)| order(name));
        Ok(found)
    }

    fn cargo(&self, arguments: &[&str]) -> std::io::Result<std::process::Output> {
        Command::new("cargo")
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.root.with_extension("target"))
            .stderr(Stdio::piped())
            .output()
    }
}

/// Leaves alone what is the same already: a copy that is made again is not built again.
fn put(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::write(to, bytes)
}

fn is_for_tests(file: &Path) -> bool {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    name == "tests" || name.ends_with("_tests") || file.iter().any(|part| part == "tests")
}

fn messages(output: &[u8]) -> impl Iterator<Item = Value> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// The changes that an error lies in: the first whose switch is in it, or the last in front of it.
fn blamed(message: &Value, texts: &BTreeMap<PathBuf, String>) -> Vec<u32> {
    let mut blamed = Vec::new();
    for span in message["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true) {
        let Some(text) = span["file_name"].as_str().and_then(|file| texts.get(Path::new(file))) else {
            continue;
        };
        let place =
            |name: &str| span[name].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
        let (start, end) = (place("byte_start"), place("byte_end"));
        let switch = "crate::mutant(";
        let at = text[start..end].find(switch).map(|at| at + start).or_else(|| text[..start].rfind(switch));
        let number: Option<u32> = at.and_then(|at| text[at + switch.len()..].split(')').next()?.parse().ok());
        blamed.extend(number);
    }
    blamed
}
