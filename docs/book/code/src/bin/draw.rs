//! Draws the figures of the book into the folders of both languages: `draw`.

use std::{fs, io};

use oneloop_book::figures::all;
use oneloop_book::pages::{LANGUAGES, book};

fn main() -> io::Result<()> {
    for (name, svg) in all() {
        for language in LANGUAGES {
            let folder = book().join(language).join("figures");
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{name}.svg")), &svg)?;
        }
        println!("{name}.svg");
    }
    Ok(())
}
