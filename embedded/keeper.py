"""A tiny process that owns one child and ends it when its parent is gone.

Run as a file, never imported by its parent: `python -I -S keeper.py PIPE STATUS GRACE_S -- COMMAND ...`.
It starts COMMAND in a session of its own and waits for one of:

- COMMAND ends: so does the keeper, with its exit code (128 + n for signal n);
- PIPE reaches its end, which is how a parent that was killed is noticed on every system: asks COMMAND to stop;
- SIGTERM: asks COMMAND to stop; a second SIGTERM kills it at once.

Asking is SIGTERM, and SIGKILL to the whole process group `GRACE_S` seconds later. Whatever COMMAND leaves in its
group is killed. STATUS is a descriptor that gets COMMAND's pid, and `!reason` if it could not be executed.
Descriptors inherited beyond these are held open while the keeper lives: this is how the server's keeper learns that
all others are gone. Imports only what a bare interpreter has, since one of these runs per child.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

#: Signals whose handling the child must not inherit.
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)
#: Linux prctl(2): the signal a process gets when the thread that made it ends.
_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 127


def _die_with(keeper: int) -> None:
    """Have Linux end this process when its keeper is killed; elsewhere only the next start cleans up."""
    if not sys.platform.startswith("linux"):
        return
    try:
        # Only here, in the fork that is about to be replaced, to keep the keeper small.
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return
    if os.getppid() != keeper:
        os._exit(_CANNOT_EXECUTE)


def _become(command: list[str], keeper: int, status: int) -> None:
    """Replace this process by `command`; never returns."""
    try:
        os.setsid()
        _die_with(keeper)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(command[0], command)  # noqa: S606  our parent made this command
    except OSError as error:
        os.write(status, f"!{command[0]}: {error.strerror}".encode())
    finally:
        os._exit(_CANNOT_EXECUTE)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nobody is left in it; macOS says "not permitted" for a group of zombies.
        return


class _Watch:
    """What the keeper knows about its child and its parent."""

    def __init__(self, child: int, pipe: int, grace_s: float) -> None:
        self.child = child
        self.pipe = pipe
        self.grace_s = grace_s
        self.terms = 0
        self.parent_gone = False
        self.kill_at: float | None = None
        self.wake, wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._asked)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _asked(self, *_: object) -> None:
        self.terms += 1

    def until_end(self) -> int:
        """Return the child's exit code."""
        while True:
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            self._press()
            self._sleep()

    def _press(self) -> None:
        if not self.terms and not self.parent_gone:
            return
        now = time.monotonic()
        if self.kill_at is None:
            self.kill_at = now + self.grace_s
            os.kill(self.child, signal.SIGTERM)
        elif self.terms > 1 or now >= self.kill_at:
            self.kill_at = now + 1
            _kill_group(self.child)
            # A log on a full disk must not keep the child alive.
            with contextlib.suppress(OSError):
                os.write(2, f"keeper: killed process {self.child}, which did not stop\n".encode())

    def _sleep(self) -> None:
        watched = [self.wake] if self.parent_gone else [self.wake, self.pipe]
        rest = None if self.kill_at is None else max(0.0, self.kill_at - time.monotonic())
        ready, _, _ = select.select(watched, (), (), rest)
        if self.wake in ready:
            os.read(self.wake, 4096)
        if self.pipe in ready and not os.read(self.pipe, 1):
            self.parent_gone = True


def main(arguments: list[str]) -> int:
    """Keep the command of `arguments`; return what the keeper's exit code should be."""
    split = arguments.index("--")
    pipe, status, grace_s = int(arguments[0]), int(arguments[1]), float(arguments[2])
    command = arguments[split + 1 :]
    # A terminal's Ctrl-C and hang-up are the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for descriptor in (pipe, status, *map(int, arguments[3:split])):
        os.set_inheritable(descriptor, False)
    signal.pthread_sigmask(signal.SIG_SETMASK, (signal.SIGTERM, signal.SIGCHLD))
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, keeper, status)
    os.write(status, f"{child}\n".encode())
    os.close(status)
    watch = _Watch(child, pipe, grace_s)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    code = watch.until_end()
    _kill_group(child)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
