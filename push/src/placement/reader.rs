//! Who reads what is put in place: the user a server runs as. A key it could not read is told before
//! anything is touched, since servers say so in their logs alone.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, getegid, geteuid};

use super::Placement;
use crate::disk::PRIVATE;
use crate::error::PushError;

/// The user and the groups of a process.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) uid: u32,
    groups: BTreeSet<u32>,
}

/// What a file belongs to, and its permission bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owned {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

impl Reader {
    /// Those of a process, from proc(5); `None` where that does not show it.
    pub(crate) fn of(process: Pid) -> Option<Self> {
        let status = format!("/proc/{}/status", process.as_raw_nonzero());
        Self::read(&fs::read_to_string(status).ok()?)
    }

    fn read(status: &str) -> Option<Self> {
        let numbers = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            Some(line.split_whitespace().map_while(|number| number.parse().ok()).collect())
        };
        // Real, effective, saved, for files.
        let (uids, gids): (Vec<u32>, Vec<u32>) = (numbers("Uid:")?, numbers("Gid:")?);
        let mut groups: BTreeSet<u32> = numbers("Groups:")?.into_iter().collect();
        groups.insert(*gids.get(1)?);
        Some(Self { uid: *uids.get(1)?, groups })
    }

    fn may_read(&self, file: Owned) -> bool {
        let bits = match file {
            _ if self.uid == 0 => 0o7,
            Owned { uid, mode, .. } if uid == self.uid => mode >> 6,
            Owned { gid, mode, .. } if self.groups.contains(&gid) => mode >> 3,
            Owned { mode, .. } => mode,
        };
        bits & 0o4 != 0
    }
}

impl Placement {
    /// The same, with files that are new belonging to `reader` where nothing says whose they are.
    ///
    /// # Errors
    /// [`PushError::Declaration`] when it could not read the key then.
    pub(crate) fn for_reader(mut self, reader: &Reader) -> Result<Self, PushError> {
        let is_new = self.directory.is_some() || !self.key_path().is_some_and(|key| key.exists());
        if is_new && self.owner.is_none() && self.group.is_none() && geteuid().is_root() {
            self.owner = Some(reader.uid.to_string());
        }
        match self.key_to_be()? {
            Some(key) if !reader.may_read(key) => Err(PushError::Declaration(format!(
                "the server runs as user {} and could not read the key, which would belong to user \
                 {}, group {}, with mode {:04o}; nothing was changed: set owner, or group and mode",
                reader.uid, key.uid, key.gid, key.mode
            ))),
            _ => Ok(self),
        }
    }

    /// Whose the file of the key will be once it is in place; `None` where there is none.
    pub(crate) fn key_to_be(&self) -> Result<Option<Owned>, PushError> {
        let Some(path) = self.key_path() else { return Ok(None) };
        let declared = self.access()?;
        // Each release is new, and single files keep what is not declared.
        let before = self.directory.is_none().then(|| found(&path)).flatten();
        let own = before.unwrap_or(Owned {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            mode: PRIVATE,
        });
        Ok(Some(Owned {
            uid: declared.uid.unwrap_or(own.uid),
            gid: declared.gid.unwrap_or(own.gid),
            mode: declared.mode.unwrap_or(own.mode),
        }))
    }
}

fn found(path: &Path) -> Option<Owned> {
    let found = fs::metadata(path).ok()?;
    Some(Owned { uid: found.uid(), gid: found.gid(), mode: found.mode() & 0o777 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_reads_as_its_effective_user_and_with_all_its_groups() {
        let status = "Name:\tpostgres\nUid:\t0\t113\t113\t113\nGid:\t0\t119\t119\t119\n\
                      Groups:\t114 119 \nNStgid:\t7\n";
        let reader = Reader::read(status).expect("a reader");
        let owned = |uid, gid, mode| Owned { uid, gid, mode };
        for readable in
            [owned(113, 0, 0o600), owned(0, 114, 0o640), owned(0, 119, 0o640), owned(0, 0, 0o644)]
        {
            assert!(reader.may_read(readable), "{readable:?}");
        }
        for other in [owned(0, 0, 0o640), owned(113, 0, 0o044), owned(0, 114, 0o604)] {
            assert!(!reader.may_read(other), "{other:?}");
        }
        assert!(Reader::read("Uid:\t1\n").is_none());
    }
}
