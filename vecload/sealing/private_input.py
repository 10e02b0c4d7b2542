"""Where secrets are read from: files that only their owner can read, and commands that print them."""

from __future__ import annotations

import errno
import os
import select
import shlex
import stat
import subprocess
import time
from pathlib import Path
from typing import Final

from vecload.errors import KeyFileError

INPUT_MAX_BYTES: Final = 16 * 1024
COMMAND_SECONDS: Final = 30.0


def read_private(path: Path, what: str) -> bytes:
    """The bytes of a file, if only its owner can read it.

    Args:
        path: The file.
        what: What it is, for messages: `key file`.

    Returns:
        At most INPUT_MAX_BYTES + 1 bytes.

    Raises:
        KeyFileError: It is missing, not a file, readable by others, or another user's link.
    """
    try:
        link = path.lstat()
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (os.geteuid(), 0):
            raise KeyFileError(
                f"the {what} {path} is a symbolic link that belongs to another user",
                hint="name the file itself",
            )
        # O_NONBLOCK: do not wait for the writer of a named pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"the {what} {path} is not a file")
            if status.st_mode & 0o077:
                raise KeyFileError(
                    f"the {what} {path} can be read by others than its owner",
                    hint=f"run: chmod 600 {shlex.quote(str(path))}",
                )
            return file.read(INPUT_MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(path, what, error) from None
    except ValueError:  # a NUL in the name
        raise KeyFileError(f"the {what} {str(path)!r} can't be read: the name contains a NUL") from None


def unreadable(path: Path, what: str, error: OSError) -> KeyFileError:
    """What to raise for a file that can't be read."""
    failed = KeyFileError(f"the {what} {path} can't be read: {error.strerror}")
    failed.missing = error.errno == errno.ENOENT
    return failed


def command_output(command: str, *, seconds: float = COMMAND_SECONDS) -> tuple[bytes, str]:
    """Run a command that prints a secret to standard output.

    Args:
        command: Program and arguments, split like in a shell. No shell runs it.
        seconds: How long it may take.

    Returns:
        At least the first INPUT_MAX_BYTES + 1 bytes of what it prints, and the program.

    Raises:
        KeyFileError: It can't be run, fails, or takes too long.
    """
    try:
        argv = shlex.split(command)
        program = argv[0]
        code, output = _run(argv, seconds)
    except (OSError, ValueError, IndexError) as error:
        # ValueError: an open quote, or a NUL.
        why = error.strerror if isinstance(error, OSError) else "it is not a command"
        program = command.split()[0] if command.split() else ""
        raise KeyFileError(f"the key command {program!r} can't be run: {why}") from None
    except subprocess.TimeoutExpired:
        raise KeyFileError(f"the key command {program!r} took over {seconds:g} s") from None
    if code != 0 and len(output) <= INPUT_MAX_BYTES:
        raise KeyFileError(f"the key command {program!r} failed with exit code {code}")
    return output, program


def _run(argv: list[str], seconds: float) -> tuple[int, bytes]:
    """The exit code and output of a program. It is killed if it prints more than a key file has."""
    deadline = time.monotonic() + seconds
    output = b""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0) as process:  # noqa: S603 the user's own command
        assert process.stdout is not None  # noqa: S101 for the type checker
        try:
            while len(output) <= INPUT_MAX_BYTES:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                    raise subprocess.TimeoutExpired(argv, seconds)
                chunk = process.stdout.read(INPUT_MAX_BYTES + 1)
                if not chunk:
                    process.wait(max(0, deadline - time.monotonic()))
                    break
                output += chunk
        finally:
            process.kill()
    return process.returncode, output
