//! Stand-ins for the commands that scripts call.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Puts a script in the place of the command `name`, below `folder`.
pub(crate) fn stand_in(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    let parent = path.parent().expect("it is in a folder");
    fs::create_dir_all(parent).expect("folders can be made");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
