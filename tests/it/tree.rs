//! The repository as it lies on the disk.

use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file that git tracks or would track, from the root, in order. What it ignores is nobody's concern.
pub fn files() -> Vec<PathBuf> {
    // A checkout that belongs to another user, as on a build machine, would otherwise be refused.
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git, to list the files of the repository");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("file names in UTF-8");
    let mut files: Vec<PathBuf> =
        listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    files.retain(|path| root().join(path).is_file());
    files.sort();
    files.dedup();
    files
}

/// The text of a file, or nothing where it is not text.
pub fn text(path: &Path) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(path)).ok()?).ok()
}
