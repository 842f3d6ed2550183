"""Starts a program as a child that cannot outlive its parent, with the rights that it needs and no more.

Run as a script by `command()`: it changes the identity of the process, asks the kernel to signal it when the parent
dies, and then becomes the program, so that no extra process stays behind. It must work with `python -I -S`: standard
library only.
"""

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NAMESPACE_ID = 1000
NOBODY_ID = 65534


class Identity(StrEnum):
    """The identity that the program runs with."""

    CALLER = "caller"
    """The user who started this process."""
    NAMESPACE = "namespace"
    """Still root outside, but an ordinary user inside a user namespace, because PostgreSQL refuses to run as root."""
    NOBODY = "nobody"
    """The user nobody, who needs folders that nobody may enter."""


def command(
    program: Sequence[str],
    *,
    identity: Identity = Identity.CALLER,
    folder: Path | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> list[str]:
    """Return the command line that runs `program` tied to the life of the calling *thread*, as Linux counts it.

    With `folder`, the program is refused with a reason on stderr unless it can write there.
    """
    options = ["--identity", identity, "--death-signal", str(int(death_signal)), "--parent", str(os.getpid())]
    if folder is not None:
        options += ["--folder", str(folder)]
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), *options, "--", *program]


def _become(identity: Identity) -> None:
    if identity is Identity.NAMESPACE:
        user, group = os.geteuid(), os.getegid()  # inside the namespace they read as nobody's until they are mapped
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"a user namespace was refused: {os.strerror(code)}")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{NAMESPACE_ID} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{NAMESPACE_ID} {group} 1")
    elif identity is Identity.NOBODY:
        os.setgroups([])
        os.setgid(NOBODY_ID)
        os.setuid(NOBODY_ID)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Asks the kernel to send `death_signal` when the parent is gone, which only Linux can.

    Raises OSError if it is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        raise OSError("the parent was gone before the program began")


def main(arguments: Sequence[str]) -> None:
    """Becomes the program named after `--`. Exits with 126 and one sentence when that is impossible."""
    parser = argparse.ArgumentParser(prog="launch")
    parser.add_argument("--identity", type=Identity, default=Identity.CALLER)
    parser.add_argument("--death-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    try:
        _become(options.identity)
        # After the change of identity, because a change of credentials clears this setting.
        die_with_parent(options.parent, options.death_signal)
        if options.folder is not None:
            os.chdir(options.folder)
            if not os.access(options.folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{options.folder} cannot be written")
        os.execv(options.program[0], options.program)  # noqa: S606 (a shell is what it avoids)
    except OSError as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(126)


if __name__ == "__main__":
    main(sys.argv[1:])
