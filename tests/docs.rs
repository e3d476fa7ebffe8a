//! Tests that docs/threat-model.md names only tests that exist, and lists the default limits.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oneloop::Limits;

#[test]
fn test_named_in_threat_model_exists() {
    let sources = all_sources("tests") + &all_sources("src");
    let document = document();
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
fn row_of_threat_model_names_a_test() {
    for row in rows(&document()).filter(|row| row.len() == 3 && row[2] != "test") {
        assert!(
            code_spans(&row[2]).any(is_test_name),
            "no test holds: {row:?}"
        );
    }
}

#[test]
fn limit_in_threat_model_is_the_default() {
    let documented: BTreeMap<String, String> = rows(&document())
        .filter(|row| row.len() == 4 && row[0] != "limit")
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect();
    let shown = format!("{:#?}", Limits::default());
    let actual: BTreeMap<String, String> = shown
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(documented, actual);
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md");
    fs::read_to_string(path).expect("the document")
}

/// Returns the cells of each table row, without separator lines.
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

/// Returns true if `name` looks like a test: at least five words.
fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 4 && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn all_sources(folder: &str) -> String {
    fn read(path: &Path, into: &mut String) {
        if path.is_dir() {
            let entries = fs::read_dir(path).expect("a readable folder");
            entries.for_each(|entry| read(&entry.expect("an entry").path(), into));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).expect("a source"));
        }
    }
    let mut sources = String::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        &mut sources,
    );
    sources
}
