//! Checks the pages against the tree: names of tests and functions, limits, links, the example.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oneloop::Limits;

#[test]
fn tests_named_in_the_threat_model_exist() {
    let sources = all_sources("tests") + &all_sources("src");
    let document = threat_model();
    let named: Vec<&str> = code_spans(&document)
        .filter(|name| is_test_name(name))
        .collect();
    assert!(named.len() > 40, "only {} tests are named", named.len());
    for name in named {
        let definition = format!("fn {name}()");
        assert!(sources.contains(&definition), "there is no test {name}");
    }
}

#[test]
fn tests_named_beside_defects_exist() {
    let sources = all_sources("tests") + &all_sources("src");
    let document = page("docs/testing.md");
    let defects = section(&document, "## Defects of the first edition");
    let spans = code_spans(defects).filter_map(|span| span.split("::").last());
    let named: Vec<&str> = spans.filter(|name| is_test_name(name)).collect();
    assert!(named.len() > 30, "only {} tests are named", named.len());
    for name in named {
        assert!(defines(&sources, name), "there is no test {name}");
    }
}

#[test]
fn every_guarantee_of_the_threat_model_names_its_test() {
    for row in rows(&threat_model()).filter(|row| row.len() == 3 && row[2] != "test") {
        assert!(code_spans(&row[2]).any(is_test_name), "no test: {row:?}");
    }
}

#[test]
fn limits_in_the_threat_model_are_the_defaults() {
    let documented: BTreeMap<String, String> = rows(&threat_model())
        .filter(|row| row.len() == 4 && row[0] != "limit")
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect();
    let shown = format!("{:#?}", Limits::default());
    let defaults: BTreeMap<String, String> = shown
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(documented, defaults);
}

#[test]
fn functions_named_in_the_architecture_are_in_their_files() {
    let document = page("docs/architecture.md");
    let places = section(&document, "## Where things happen");
    let mut found = 0;
    for row in rows(places).filter(|row| row.len() == 3 && row[0] != "event") {
        let sources: String = code_spans(&row[2]).map(reactor_source).collect();
        for name in code_spans(&row[1]).filter_map(|span| span.split("::").last()) {
            assert!(defines(&sources, name), "no function {name} in {}", row[2]);
            found += 1;
        }
    }
    assert!(found > 20, "only {found} functions are named");
}

#[test]
fn files_named_in_the_architecture_have_content() {
    let document = page("docs/architecture.md");
    let places = section(&document, "## Where things happen");
    let files: Vec<&str> = code_spans(places)
        .filter(|span| span.ends_with(".rs"))
        .collect();
    assert!(files.len() > 20, "only {} files are named", files.len());
    for file in files {
        assert!(!reactor_source(file).is_empty(), "{file} is empty");
    }
}

#[test]
fn links_of_the_pages_resolve() {
    let mut checked = 0;
    for page_path in ["README.md"].into_iter().map(String::from).chain(pages()) {
        let text = page(&page_path);
        let folder = root().join(&page_path);
        let folder = folder.parent().expect("a page is in a folder");
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let there = folder.join(target).exists();
            assert!(there, "{page_path} links to {target}, which does not exist");
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

/// The crate page's example is compiled as a doc test; the others are the same.
#[test]
fn examples_of_both_readmes_are_the_example_echo() {
    let example = |path: &str| {
        let text = page(path);
        let begin = text.find("```rust").expect("an example");
        let end = text[begin..].find("\n```\n").expect("its end");
        text[begin..begin + end].to_owned()
    };
    let crate_page = example("src/oneloop/README.md");
    assert!(!crate_page.contains("\n# "), "it has hidden lines");
    assert_eq!(example("README.md"), crate_page);
    let echo = page("src/oneloop/examples/echo/main.rs");
    let begin = echo.find("use std").expect("its imports");
    let end = echo.find("\n\n#[cfg(test)]").expect("its tests");
    assert_eq!(crate_page, format!("```rust,no_run\n{}", &echo[begin..end]));
}

/// An example is read as a whole, with `main` and without its tests.
#[test]
fn examples_are_no_longer_than_a_page_of_their_kind() {
    for (example, most) in [
        ("echo", 40),
        ("chat", 150),
        ("resp", 500),
        ("http", 250),
        ("forward", 150),
    ] {
        let folder = root().join("src/oneloop/examples").join(example);
        let files = fs::read_dir(folder).expect("a folder").map(|entry| {
            let path = entry.expect("an entry").path();
            let is_program = path.extension().is_some_and(|extension| extension == "rs")
                && path.file_name().is_some_and(|name| name != "tests.rs");
            match is_program {
                true => fs::read_to_string(path).expect("a source").lines().count(),
                false => 0,
            }
        });
        let lines: usize = files.sum();
        assert!(lines > 0 && lines <= most, "{example} has {lines} lines");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the paths of the pages in docs, without its folders.
fn pages() -> impl Iterator<Item = String> {
    let entries = fs::read_dir(root().join("docs")).expect("a readable folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
}

fn threat_model() -> String {
    page("docs/threat-model.md")
}

/// Returns the part of a page from one heading to the next one.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let begin = document.find(heading).expect("the heading");
    let rest = &document[begin + heading.len()..];
    rest.split("\n## ").next().expect("a section")
}

/// Returns a source named relative to the reactor's folder.
fn reactor_source(path: &str) -> String {
    page(&format!("src/oneloop/reactor/{path}"))
}

/// Returns true if `sources` define a function with this name.
fn defines(sources: &str, name: &str) -> bool {
    let definition = format!("fn {name}");
    let mut after = sources.split(&definition).skip(1);
    after.any(|rest| rest.starts_with(['(', '<']))
}

/// Returns the targets of the links `[…](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// Returns the cells of each row of each table, without the lines below the headings.
fn rows(document: &str) -> impl Iterator<Item = Vec<String>> {
    let lines = document
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines
        .filter(|line| !line.starts_with('-'))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
}

fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns true for a name with at least four underscores, which only tests have.
fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 4 && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Returns all Rust sources below a folder, one behind the other.
fn all_sources(folder: &str) -> String {
    let mut sources = String::new();
    let mut waiting: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(path).expect("a readable folder");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).expect("a source"));
        }
    }
    sources
}
