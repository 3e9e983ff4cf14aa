//! Whether anything was done to a few files since one looked, for one short system call.
//!
//! The system notes it while it does it (Linux, `inotify`): what another process did to one of the files is noted before
//! its own call returns. So who begins to look after that call has returned is told. This asks whether anything is noted,
//! and never what: that the files themselves say.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::{Errno, ioctl_fionread};

/// Rings when something is done to what it hangs on.
#[derive(Debug)]
pub(crate) struct Bell(File);

impl Bell {
    /// Hangs it on `written`, for all that is done to it, and on `there`, for whether its name leads to it.
    pub(crate) fn hang(written: &Path, there: &Path) -> io::Result<Bell> {
        let bell = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // A link more or less, which removing and replacing is, is an attribute.
        let place = WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::DONT_FOLLOW;
        inotify::add_watch(&bell, written, place | WatchFlags::MODIFY)?;
        inotify::add_watch(&bell, there, place)?;
        for directory in written.ancestors().chain(there.ancestors()).skip(1) {
            let moved = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
            match inotify::add_watch(&bell, directory, moved) {
                // One that only others may read is theirs to move; it is looked at now and then.
                Ok(_) | Err(Errno::ACCESS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Bell(bell.into()))
    }

    /// Whether it rang and nobody silenced it since. It takes nothing away, so all who ask are told.
    pub(crate) fn rang(&self) -> bool {
        !matches!(ioctl_fionread(&self.0), Ok(0))
    }

    /// From now on it has not rung.
    pub(crate) fn silence(&self) -> io::Result<()> {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut noted = Reader::new(&self.0, &mut room);
        loop {
            match noted.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
