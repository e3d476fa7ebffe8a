//! Captures the conversations of chapter 1 with the real server: `capture FOLDER`.

use std::path::Path;
use std::{env, fs, io};

use oneloop_book::sniff::{SCENES, capture};

fn main() -> io::Result<()> {
    let folder = env::args()
        .nth(1)
        .unwrap_or("docs/book/captures".to_owned());
    for scene in SCENES {
        let path = Path::new(&folder).join(format!("{}.pcap", scene.name));
        fs::write(&path, capture(scene))?;
        println!("{}", path.display());
    }
    Ok(())
}
