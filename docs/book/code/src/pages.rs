//! Reads the pages of the book: their blocks, links and figures, and where each block comes from.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::lab::repository;
use crate::pcap;

/// The languages of the book.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// A page of the book.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the file is.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A fenced block of a page.
#[derive(Clone, Debug)]
pub struct Block {
    /// The first word behind the fence: `rust`, `console`, `text` and so on.
    pub language: String,
    /// The comment on the line before the fence, such as `code: src/bin/ch03.rs#accept`.
    pub marker: Option<String>,
    /// The text between the fences.
    pub text: String,
    /// Where that text is in the page.
    pub range: Range<usize>,
}

/// Returns the folder of the book.
pub fn book() -> PathBuf {
    repository().join("docs/book")
}

/// Returns the pages of a language in the order of their names.
///
/// # Panics
///
/// Panics if they cannot be read.
pub fn pages(language: &str) -> Vec<Page> {
    let entries = fs::read_dir(book().join(language)).expect("the pages");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a page");
        Page { path, text }
    };
    paths.into_iter().map(read).collect()
}

impl Page {
    /// Returns the name of the file.
    pub fn name(&self) -> String {
        let name = self.path.file_name().expect("a name");
        name.to_string_lossy().into_owned()
    }

    /// Returns the fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(String, usize, Range<usize>)> = None;
        for (event, range) in Parser::new(&self.text).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let language = info.split([' ', ',']).next().unwrap_or("").to_owned();
                    let content = self.text[range.start..].find('\n').unwrap_or(0) + 1;
                    let content = range.start + content;
                    open = Some((language, range.start, content..content));
                }
                Event::Text(_) => {
                    if let Some((_, _, content)) = &mut open {
                        content.end = range.end;
                    }
                }
                Event::End(TagEnd::CodeBlock) => {
                    if let Some((language, start, range)) = open.take() {
                        blocks.push(Block {
                            language,
                            marker: self.marker_before(start),
                            text: self.text[range.clone()].to_owned(),
                            range,
                        });
                    }
                }
                _ => {}
            }
        }
        blocks
    }

    fn marker_before(&self, start: usize) -> Option<String> {
        let line = self.text[..start].lines().next_back()?;
        let marker = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
        Some(marker.trim().to_owned())
    }

    /// Returns the targets of links and images.
    pub fn links(&self) -> Vec<String> {
        Parser::new(&self.text)
            .filter_map(|event| match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    Some(dest_url.into_string())
                }
                _ => None,
            })
            .collect()
    }

    /// Returns the targets of images.
    pub fn figures(&self) -> Vec<String> {
        let links = self.links().into_iter();
        links.filter(|link| link.ends_with(".svg")).collect()
    }

    /// Returns the anchors of the headings, as mdBook and code hosts make them.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.text.lines().filter_map(|line| {
            let text = line.strip_prefix('#')?.trim_start_matches('#');
            text.strip_prefix(' ')
        });
        let anchor = |heading: &str| {
            let kept = heading.trim().to_lowercase();
            let kept = kept.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            kept.collect()
        };
        headings.map(anchor).collect()
    }

    /// Returns how deep each heading is, in order.
    pub fn headings(&self) -> Vec<usize> {
        let headings = Parser::new(&self.text).filter_map(|event| match event {
            Event::Start(Tag::Heading { level, .. }) => Some(level as usize),
            _ => None,
        });
        headings.collect()
    }

    /// Returns how many words the text has outside of fenced blocks. A Chinese character counts as
    /// half a word.
    pub fn words(&self) -> usize {
        let mut text = self.text.clone();
        for block in self.blocks().iter().rev() {
            text.replace_range(block.range.clone(), "");
        }
        let wide = text
            .chars()
            .filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c));
        let wide = wide.count() / 2;
        let narrow: String = text
            .chars()
            .map(|c| if c.is_ascii() { c } else { ' ' })
            .collect();
        wide + narrow.split_whitespace().count()
    }
}

impl Block {
    /// Returns the text that the block must have according to its marker, or `None` if the marker
    /// does not name a source.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the marker.
    pub fn source(&self) -> Result<Option<String>, String> {
        let Some((kind, argument)) = self.marker.as_deref().and_then(|m| m.split_once(": ")) else {
            return Ok(None);
        };
        match kind {
            "code" => code(argument).map(Some),
            "capture" => capture(argument).map(Some),
            "data" => {
                let path = book().join("code/data").join(argument);
                let text = fs::read_to_string(&path);
                text.map(Some)
                    .map_err(|error| format!("{}: {error}", path.display()))
            }
            _ => Ok(None),
        }
    }
}

/// Returns a function of a source file, without the comment above it. The argument is `FILE@NAME`.
fn function(file: &str, name: &str) -> Result<String, String> {
    let path = repository_file(file)?;
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let lines: Vec<&str> = text.lines().collect();
    let start = format!("fn {name}(");
    let head = lines.iter().position(|line| line.contains(&start));
    let head = head.ok_or_else(|| format!("{file} has no {start}"))?;
    let indent = &lines[head][..lines[head].len() - lines[head].trim_start().len()];
    let end = format!("{indent}}}");
    let length = lines[head..].iter().position(|line| *line == end);
    let length = length.ok_or_else(|| format!("{file}: {name} does not end"))?;
    let body = &lines[head..=head + length];
    let cut = body
        .iter()
        .map(|line| line.get(indent.len()..).unwrap_or(""));
    Ok(cut.collect::<Vec<_>>().join("\n") + "\n")
}

/// Returns the one file below `src` whose path ends with `file`.
///
/// # Errors
///
/// Returns an error if there is no such file or more than one.
pub fn repository_file(file: &str) -> Result<PathBuf, String> {
    let mut found = Vec::new();
    search(&repository().join("src"), Path::new(file), &mut found);
    match <[PathBuf; 1]>::try_from(found) {
        Ok([path]) => Ok(path),
        Err(found) => Err(format!("{file} is the end of {} paths", found.len())),
    }
}

fn search(folder: &Path, end: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, end, found);
        } else if path.ends_with(end) {
            found.push(path);
        }
    }
}

/// Returns the part of a source file between `ANCHOR: name` and `ANCHOR_END: name`. The argument
/// is `FILE#NAME`, or `FILE` for all of it. `/**/FILE@NAME` is a function of the library or its
/// programs.
fn code(argument: &str) -> Result<String, String> {
    if let Some((file, name)) = argument
        .strip_prefix("/**/")
        .and_then(|argument| argument.split_once('@'))
    {
        return function(file, name);
    }
    let (file, anchor) = argument.split_once('#').unwrap_or((argument, ""));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_marker = |line: &str| line.contains("ANCHOR: ") || line.contains("ANCHOR_END: ");
    let mut lines = text.lines();
    if !anchor.is_empty() {
        let start = format!("ANCHOR: {anchor}");
        let found = lines.by_ref().any(|line| line.trim_end().ends_with(&start));
        if !found {
            return Err(format!("{file} has no {start}"));
        }
    }
    let end = format!("ANCHOR_END: {anchor}");
    let lines = lines.take_while(|line| anchor.is_empty() || !line.trim_end().ends_with(&end));
    let lines: Vec<&str> = lines.filter(|line| !is_marker(line)).collect();
    let indent = |line: &&&str| line.len() - line.trim_start().len();
    let with_text = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = with_text.map(|line| indent(&line)).min().unwrap_or(0);
    let cut = lines.iter().map(|line| line.get(indent..).unwrap_or(""));
    let mut text = cut.collect::<Vec<_>>().join("\n");
    text.push('\n');
    Ok(text)
}

/// Lists segments of a capture of the repository. The argument is `NAME` or `NAME FIRST-LAST`.
fn capture(argument: &str) -> Result<String, String> {
    let (name, range) = argument.split_once(' ').unwrap_or((argument, ""));
    let segments = repository_capture(name)?;
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (first.parse().ok(), last.parse().ok()),
        None => (Some(1), Some(segments.len())),
    };
    let (Some(first), Some(last)) = (first, last) else {
        return Err(format!("not a range: {range}"));
    };
    let lines = pcap::listing(&segments);
    let lines: Vec<&str> = lines
        .lines()
        .skip(first - 1)
        .take(last + 1 - first)
        .collect();
    Ok(lines.join("\n") + "\n")
}

/// Returns the segments of a capture of the repository.
///
/// # Errors
///
/// Returns what is wrong with the capture.
pub fn repository_capture(name: &str) -> Result<Vec<pcap::Segment>, String> {
    let path = book().join("captures").join(format!("{name}.pcap"));
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    pcap::decode(&bytes).map_err(str::to_owned)
}
