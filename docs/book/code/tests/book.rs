//! Holds the pages to the programs: blocks, figures, links, lengths, the two languages.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use oneloop_book::figures;
use oneloop_book::lab::{is_installed, repository};
use oneloop_book::pages::{Block, LANGUAGES, Page, book, pages, repository_file};

fn all_pages() -> Vec<Page> {
    LANGUAGES.into_iter().flat_map(pages).collect()
}

#[test]
fn block_with_a_source_equals_it() {
    for page in all_pages() {
        for block in page.blocks() {
            let source = block.source();
            let source = source.unwrap_or_else(|problem| panic!("{}: {problem}", page.name()));
            if let Some(source) = source {
                assert_eq!(
                    block.text,
                    source,
                    "{}: run `cargo run -p oneloop-book --bin sync`",
                    page.path.display()
                );
            }
        }
    }
}

#[test]
fn block_of_each_language_is_compiled_run_or_decoded() {
    for page in all_pages() {
        for block in page.blocks() {
            let kind = block.marker.as_deref().unwrap_or("none: ");
            let kind = kind.split(':').next().unwrap_or_default();
            let allowed: &[&str] = match block.language.as_str() {
                "rust" | "python" => &["code"],
                "console" => &["run", "demo"],
                "sh" => &["run"],
                "text" => &["capture", "data"],
                _ => &[],
            };
            assert!(
                allowed.contains(&kind),
                "{}: a block of {:?} with the marker {:?}",
                page.path.display(),
                block.language,
                block.marker
            );
        }
    }
}

#[test]
fn both_languages_have_the_same_pages_blocks_and_figures() {
    let [english, chinese] = LANGUAGES.map(pages);
    let names = |pages: &[Page]| -> Vec<String> { pages.iter().map(Page::name).collect() };
    assert_eq!(names(&english), names(&chinese));
    assert!(english.len() >= 20, "{} pages", english.len());
    for (one, other) in english.iter().zip(&chinese) {
        let blocks = |page: &Page| -> Vec<(String, Option<String>, String)> {
            let key = |block: Block| (block.language, block.marker, block.text);
            page.blocks().into_iter().map(key).collect()
        };
        assert_eq!(blocks(one), blocks(other), "{}", one.name());
        assert_eq!(one.figures(), other.figures(), "{}", one.name());
        assert_eq!(one.headings(), other.headings(), "{}", one.name());
        let targets = |page: &Page| -> Vec<String> {
            let link = |link: String| link.split('#').next().unwrap_or_default().to_owned();
            let mut targets: Vec<_> = page.links().into_iter().map(link).collect();
            targets.sort();
            targets
        };
        assert_eq!(targets(one), targets(other), "{}", one.name());
    }
}

#[test]
fn summary_lists_every_page_once() {
    for language in LANGUAGES {
        let pages = pages(language);
        let summary = pages.iter().find(|page| page.name() == "SUMMARY.md");
        let listed = summary.expect("a summary").links();
        let mut sorted = listed.clone();
        sorted.sort();
        let names: Vec<_> = pages.iter().map(Page::name).collect();
        let expected: Vec<_> = names.iter().filter(|name| *name != "SUMMARY.md").collect();
        assert_eq!(sorted.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn figures_are_what_the_program_draws() {
    let drawn = figures::all();
    for language in LANGUAGES {
        let folder = book().join(language).join("figures");
        for (name, svg) in &drawn {
            let file = fs::read_to_string(folder.join(format!("{name}.svg")));
            assert!(
                file.is_ok_and(|file| file == *svg),
                "{language}/{name}.svg: run `cargo run -p oneloop-book --bin draw`"
            );
        }
        let used: BTreeSet<String> = pages(language)
            .iter()
            .flat_map(Page::figures)
            .map(|path| path.trim_start_matches("figures/").to_owned())
            .collect();
        let there: BTreeSet<String> = fs::read_dir(folder)
            .expect("figures")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        assert_eq!(used, there);
    }
}

#[test]
fn links_lead_somewhere() {
    for language in LANGUAGES {
        let pages = pages(language);
        for page in &pages {
            for link in page.links() {
                assert!(
                    leads_somewhere(page, &link, &pages),
                    "{}: {link}",
                    page.path.display()
                );
            }
        }
    }
}

/// Links to other sites are not followed; there are few, and each is listed here.
fn leads_somewhere(page: &Page, link: &str, pages: &[Page]) -> bool {
    const ELSEWHERE: &[&str] = &["https://docs.rs/mio"];
    if link.contains("://") {
        return ELSEWHERE.contains(&link);
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => Some(page),
        file => pages.iter().find(|page| page.name() == file),
    };
    match target {
        Some(target) => anchor.is_empty() || target.anchors().iter().any(|name| name == anchor),
        None => anchor.is_empty() && page.path.with_file_name(file).is_file(),
    }
}

#[test]
fn checker_finds_dead_links() {
    let pages = pages("en");
    let page = &pages[0];
    assert!(leads_somewhere(page, "01-on-the-wire.md#time-wait", &pages));
    assert!(!leads_somewhere(
        page,
        "01-on-the-wire.md#no-such-heading",
        &pages
    ));
    assert!(!leads_somewhere(page, "17-missing.md", &pages));
    assert!(!leads_somewhere(page, "figures/missing.svg", &pages));
    assert!(!leads_somewhere(page, "https://example.com", &pages));
}

#[test]
fn page_is_short() {
    for page in all_pages() {
        let words = page.words();
        assert!(words <= 1500, "{}: {words} words", page.path.display());
    }
}

#[test]
fn source_files_that_the_tour_names_exist() {
    for language in LANGUAGES {
        let pages = pages(language);
        let tour = pages.iter().find(|page| page.name() == "16-source.md");
        let text = &tour.expect("the tour").text;
        let spans = text.split('`').skip(1).step_by(2);
        let files: Vec<_> = spans
            .filter(|span| span.ends_with(".rs") && !span.contains(['\n', ' ']))
            .collect();
        assert!(files.len() > 10, "{files:?}");
        for file in files {
            assert!(repository_file(file).is_ok(), "{:?}", repository_file(file));
        }
    }
}

#[test]
fn mdbook_builds_both_languages_cleanly() {
    if !is_installed("mdbook") {
        println!("skipped: mdbook is not installed (cargo install mdbook)");
        return;
    }
    for language in LANGUAGES {
        let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(language);
        let output = Command::new("mdbook")
            .args(["build", "--dest-dir"])
            .arg(&target)
            .arg(book().join(language))
            .output()
            .expect("running mdbook");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
        for page in pages(language) {
            let is_listed = !["SUMMARY.md", "README.md"].contains(&page.name().as_str());
            let html = target.join(page.name()).with_extension("html");
            assert!(!is_listed || anchors_exist(&html), "{}", html.display());
        }
    }
}

/// Returns `true` if every link of the rendered page to a heading of a page finds it.
fn anchors_exist(html: &std::path::Path) -> bool {
    let Ok(text) = fs::read_to_string(html) else {
        return false;
    };
    let links = text.split("href=\"").skip(1);
    let links = links.filter_map(|link| link.split('"').next()?.split_once(".html#"));
    for (file, anchor) in links.filter(|(file, _)| !file.contains('/')) {
        let target = fs::read_to_string(html.with_file_name(format!("{file}.html")));
        let heading = format!("id=\"{anchor}\"");
        if !target.is_ok_and(|target| target.contains(&heading)) {
            println!("{file}.html has no {anchor}");
            return false;
        }
    }
    true
}

#[test]
fn front_pages_lead_to_the_book() {
    let front = fs::read_to_string(repository().join("README.md")).expect("the front page");
    for language in LANGUAGES {
        assert!(front.contains(&format!("(docs/book/{language}/README.md)")));
    }
    let library = fs::read_to_string(repository().join("src/oneloop/README.md"));
    assert!(
        library
            .expect("the page of the library")
            .contains("docs/book")
    );
}

/// Chapters 4 and 15 draw these conclusions from the measurement.
#[test]
fn conclusions_about_threads_follow_from_the_measurement() {
    let table = figures::table("scaling.txt");
    let value = |server: &str, connections: &str, column: usize| -> f64 {
        let is_wanted = |row: &&Vec<String>| row[0] == server && row[1] == connections;
        let row = table.iter().find(is_wanted).expect("a row");
        row[column].parse().expect("a number")
    };
    let ratio = |connections| value("threads", connections, 2) / value("ch07", connections, 2);
    assert!((1.3..1.5).contains(&ratio("10")), "about 1.4");
    for connections in ["1000", "10000"] {
        assert!((1.6..2.1).contains(&ratio(connections)), "nearly twice");
    }
    let memory = value("threads", "10000", 3) - value("threads", "10", 3);
    assert!((9.0..11.0).contains(&(memory / 9990.0)), "about ten KiB");
    let rise = value("greet-server", "10000", 2) / value("greet-server", "10", 2);
    assert!((1.6..2.1).contains(&rise), "nearly doubles");
    let differences = ["10", "100", "1000", "10000"]
        .map(|connections| value("greet-server", connections, 2) - value("ch07", connections, 2));
    assert!(differences.iter().any(|difference| *difference < 0.0));
    assert!(differences.iter().any(|difference| *difference > 0.0));
}
