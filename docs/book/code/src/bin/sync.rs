//! Copies programs, captures and measurements into the pages, where a comment before a block names
//! them. The tests fail while a page differs from what this program would write.

use std::fs;
use std::io;

use oneloop_book::pages::{LANGUAGES, pages};

fn main() -> io::Result<()> {
    for page in LANGUAGES.into_iter().flat_map(pages) {
        let mut text = page.text.clone();
        for block in page.blocks().into_iter().rev() {
            match block.source() {
                Ok(Some(source)) => text.replace_range(block.range, &source),
                Ok(None) => {}
                Err(problem) => eprintln!("{}: {problem}", page.path.display()),
            }
        }
        if text != page.text {
            fs::write(&page.path, text)?;
            println!("{}", page.path.display());
        }
    }
    Ok(())
}
