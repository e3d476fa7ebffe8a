//! Copies of the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Every file that a build may read, by its path in the tree.
#[derive(Debug)]
pub(crate) struct Tree(BTreeMap<PathBuf, Vec<u8>>);

impl Tree {
    /// Reads the tree at `root`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        read_folder(root, Path::new(""), &mut files)?;
        Ok(Self(files))
    }

    /// Returns a hash of all paths and contents.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    /// Makes `to` the same as this tree. Files that are the same already are not touched, so that
    /// they cause no rebuild.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn write(&self, to: &Path) -> io::Result<()> {
        let mut there = BTreeMap::new();
        if to.exists() {
            read_folder(to, Path::new(""), &mut there)?;
        }
        for path in there.keys().filter(|path| !self.0.contains_key(*path)) {
            fs::remove_file(to.join(path))?;
        }
        for (path, content) in &self.0 {
            if there.get(path) != Some(content) {
                let path = to.join(path);
                fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
                fs::write(path, content)?;
            }
        }
        Ok(())
    }

    /// Restores one file of a copy.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn restore(&self, copy: &Path, file: &str) -> io::Result<()> {
        fs::write(copy.join(file), &self.0[Path::new(file)])
    }
}

fn read_folder(
    root: &Path,
    folder: &Path,
    files: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_left_out(&entry.file_name()) {
            read_folder(root, &path, files)?;
        } else if kind.is_file() {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Returns true for folders that no build reads: build output, and hidden folders.
fn is_left_out(folder: &OsStr) -> bool {
    folder == "target" || folder.as_encoded_bytes().starts_with(b".")
}
