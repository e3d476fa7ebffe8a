//! Files to be written at the end, opened at the beginning.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A file that is known to be writable before anything is measured. Its old content stays until it
/// is written; one that was made for this and is never written is removed.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    file: File,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was not there before, and is empty.
    New,
    /// It was there before, or is written.
    Kept,
}

impl OutputFile {
    /// Opens it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let state = match path.exists() {
            true => State::Kept,
            false => State::New,
        };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| failure(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            state,
        })
    }

    /// Replaces its content.
    ///
    /// # Errors
    /// If it cannot be written after all, as on a full disk.
    pub(crate) fn write(mut self, content: &str) -> Result<(), Failure> {
        self.state = State::Kept;
        let is_file = self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_file {
            self.file.set_len(0)
        } else {
            Ok(())
        };
        emptied
            .and_then(|()| self.file.write_all(content.as_bytes()))
            .map_err(|error| failure(&self.path, &error))
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.state == State::New {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failure(path: &Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    format!("cannot write {path}: {error}; choose another file")
}
