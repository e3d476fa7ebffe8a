//! Folders for sockets and programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A folder for sockets, whose paths must be short. It is removed at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("greet-{}-{test}", std::process::id());
        let folder = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder for temporary files");
        Self(folder)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Puts the server's program into the folder.
    pub(crate) fn install(&self) -> PathBuf {
        let (from, to) = (
            env!("CARGO_BIN_EXE_greet-server"),
            self.path("greet-server"),
        );
        if fs::hard_link(from, &to).is_err() {
            fs::copy(from, &to).expect("room for the program");
        }
        to
    }

    /// Replaces a program by a script of the shell, as an installer does: by renaming.
    pub(crate) fn replace(&self, program: &Path, script: &str) {
        let new = self.path("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("room for a file");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("our own file");
        fs::rename(&new, program).expect("the same folder");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
