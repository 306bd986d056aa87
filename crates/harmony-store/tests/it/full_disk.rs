//! A key can be deleted even when the disk is full. The test runs itself again in a mount namespace of its own with a
//! disk of 4 MiB, which needs no privilege where the system lets users have namespaces, and tests nothing elsewhere.

use std::{env, fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Command};

use harmony_store::{DatabaseUrl, Store, StoreError, api_keys, audit};

use crate::{bookkeeping::event, house::*};

const DISK: &str = "HARMONY_TEST_SMALL_DISK";

#[test]
fn a_key_is_deleted_on_a_full_disk_at_the_cost_of_the_ballast() {
    if let Some(disk) = env::var_os(DISK) {
        return on_the_small_disk(Path::new(&disk));
    }
    let folder = tempfile::tempdir().unwrap();
    let small_disk = |then: &str| {
        let mut command = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size=4m none \"$0\" && {then}");
        command.args(["-Urm", "sh", "-c", &mount]).arg(folder.path());
        command
    };
    assert!(
        small_disk("true").output().is_ok_and(|tried| tried.status.success()),
        "a small disk cannot be made: run the tests as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
    );
    let this = "full_disk::a_key_is_deleted_on_a_full_disk_at_the_cost_of_the_ballast";
    let told = small_disk("exec \"$@\"")
        .arg(env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn on_the_small_disk(disk: &Path) {
    const KEYS: u8 = 200;
    let (url, ballast) = (DatabaseUrl::sqlite(disk.join("h.sqlite")), disk.join("h.sqlite-ballast"));
    let store = Store::open(&url, &Default::default()).unwrap();
    let lies = || fs::metadata(&ballast).map(|found| (found.len(), found.permissions().mode() & 0o777)).ok();
    assert_eq!(lies(), Some((1024 * 1024, 0o600)));
    furnish(&store);
    write(&store, |tx| (0..KEYS).try_for_each(|n| api_keys::insert(tx, &key(n, HERE, ANN))));
    let filler = disk.join("filler");
    fill(&filler);
    let mut keys = 0..KEYS;
    let refused = keys.find(|&n| match store.write(|tx| delete(tx, n)) {
        Ok(deleted) => !deleted,
        Err(StoreError::Full) => true,
        Err(other) => panic!("{other:?}"),
    });
    let number = refused.expect("without room some deletion is refused");
    assert_eq!(lies().unwrap().0, 1024 * 1024);
    assert!(store.write_revoking(|tx| delete(tx, number)).unwrap());
    assert_eq!(lies(), None);
    assert_eq!(read(&store, |tx| api_keys::by_id(tx, id(HERE), id(number))), None);
    drop(store);
    fs::remove_file(filler).unwrap();
    let again = Store::open(&url, &Default::default()).unwrap();
    assert_eq!(lies(), Some((1024 * 1024, 0o600)));
    assert_eq!(read(&again, |tx| api_keys::by_id(tx, id(HERE), id(number))), None);
}

/// What a deletion writes: the row goes, and the log tells of it.
fn delete(tx: &mut harmony_store::Tx<'_>, number: u8) -> Result<bool, StoreError> {
    audit::insert(tx, &event(number, HERE))?;
    api_keys::delete(tx, id(number))
}

/// Takes every byte that is left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write(&[0x5A; 4096]).is_ok_and(|written| written > 0) {}
}
