//! Queues and memory that processes share by a number or a name and not by a file.

use std::ffi::CString;
use std::io;

/// What is in each of these as the user made it, to be looked for from elsewhere. Gone with this.
pub(crate) struct Shared {
    memory: libc::c_int,
    messages: libc::c_int,
    queue: CString,
}

/// As the C library has it: a kind, and then the text.
#[repr(C)]
struct Message {
    kind: libc::c_long,
    text: [u8; ROOM],
}

/// How much is in each.
const ROOM: usize = 64;
const ONLY_THE_USER: libc::c_int = 0o600;

fn checked<T: Into<i64> + Copy>(result: T) -> io::Result<T> {
    if result.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn room(text: &str) -> [u8; ROOM] {
    let mut room = [0; ROOM];
    room.iter_mut().zip(text.bytes()).for_each(|(into, byte)| *into = byte);
    room
}

impl Shared {
    /// A piece of memory and a queue of System V, and a queue of POSIX, with this text in each.
    #[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "no safe interface has them")]
    pub(crate) fn holding(text: &str) -> Self {
        let made = libc::IPC_CREAT | ONLY_THE_USER;
        // SAFETY: takes plain numbers.
        let (memory, messages) =
            unsafe { (libc::shmget(libc::IPC_PRIVATE, ROOM, made), libc::msgget(libc::IPC_PRIVATE, made)) };
        let queue = CString::new(format!("/bartizan-escape-{}", std::process::id())).unwrap();
        let shared = Self { memory: checked(memory).unwrap(), messages: checked(messages).unwrap(), queue };
        let message = Message { kind: 1, text: room(text) };
        // SAFETY: the memory is as large as the text; what is sent is alive until each call returns.
        unsafe {
            let at = libc::shmat(shared.memory, std::ptr::null(), 0);
            assert_ne!(at.addr(), usize::MAX);
            at.cast::<[u8; ROOM]>().write(message.text);
            libc::shmdt(at);
            checked(libc::msgsnd(shared.messages, (&raw const message).cast(), ROOM, 0)).unwrap();
            let flags = libc::O_CREAT | libc::O_WRONLY;
            let mut attributes: libc::mq_attr = std::mem::zeroed();
            (attributes.mq_maxmsg, attributes.mq_msgsize) = (1, ROOM.cast_signed() as libc::c_long);
            let queue = libc::mq_open(shared.queue.as_ptr(), flags, ONLY_THE_USER as libc::mode_t, &raw mut attributes);
            checked(queue).unwrap();
            checked(libc::mq_send(queue, message.text.as_ptr().cast(), ROOM, 0)).unwrap();
            libc::mq_close(queue);
        }
        shared
    }

    /// How each is called where it is looked for.
    pub(crate) fn names(&self) -> [(&'static str, String); 3] {
        let queue = self.queue.to_str().unwrap().to_owned();
        [("memory", self.memory.to_string()), ("messages", self.messages.to_string()), ("queue", queue)]
    }
}

impl Drop for Shared {
    #[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "as above")]
    fn drop(&mut self) {
        // SAFETY: takes numbers and a name that is alive.
        unsafe {
            libc::shmctl(self.memory, libc::IPC_RMID, std::ptr::null_mut());
            libc::msgctl(self.messages, libc::IPC_RMID, std::ptr::null_mut());
            libc::mq_unlink(self.queue.as_ptr());
        }
    }
}

/// The attempt: prints what is in one of them.
#[expect(unsafe_code, clippy::multiple_unsafe_ops_per_block, reason = "as above")]
pub(crate) fn read(kind: &str, name: &str) -> io::Result<()> {
    let mut message = Message { kind: 0, text: [0; ROOM] };
    // SAFETY: there is room for as much as each call is told.
    unsafe {
        match kind {
            "memory" => {
                let at = libc::shmat(name.parse().unwrap(), std::ptr::null(), libc::SHM_RDONLY);
                if at.addr() == usize::MAX {
                    return Err(io::Error::last_os_error());
                }
                message.text = at.cast::<[u8; ROOM]>().read();
            }
            "messages" => {
                let id = name.parse().unwrap();
                checked(libc::msgrcv(id, (&raw mut message).cast(), ROOM, 0, libc::IPC_NOWAIT) as i64)?;
            }
            _ => {
                let name = CString::new(name).unwrap();
                let queue = checked(libc::mq_open(name.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK))?;
                let text = message.text.as_mut_ptr().cast();
                checked(libc::mq_receive(queue, text, ROOM, std::ptr::null_mut()) as i64)?;
            }
        }
    }
    println!("{}", String::from_utf8_lossy(&message.text).trim_end_matches('\0'));
    Ok(())
}
