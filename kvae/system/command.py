"""What all commands share: how they meet closed streams, pipes, signals, full disks, and how they end.

Exit codes: 0; 2 after a message about what the user gave, the disk or the memory; 128 and its number after a
signal (129 SIGHUP, 130 SIGINT, which is Ctrl-C, 143 SIGTERM); 141, as of SIGPIPE, where nobody reads the
standard output any more. Imports no TensorFlow, and nothing that takes time.
"""

import contextlib
import functools
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, TextIO

from kvae.errors import UserError, in_words
from kvae.system.signals import Stopped, StopSignals, stopping

NOBODY_READS = 141
"""Exit code where the reader of a pipe has gone."""

_WIDTHS = 40, 400
"""Columns that a help text is set in. In fewer than six tyro does not come to an end."""

_MOST_SHOWN = 300
"""Characters of a text that cannot be written."""


def begin() -> None:
    """Be ready for closed streams and for signals while the rest of a command is imported.

    For the first lines of a command's own process. A signal then ends it at once: nothing is written yet.
    """
    mend_streams()
    for number in stopping():
        signal.signal(number, _leave)


def run(
    work: Callable[[StopSignals], int | None],
    mistakes: tuple[type[Exception], ...] = (UserError,),
    reassurance: str = "",
) -> int:
    """Do the work of a command, and turn what ends it into a message and an exit code.

    Args:
        work: from the signals, which it may hold back, to an exit code; None is 0.
        mistakes: exceptions whose message is for the user.
        reassurance: what follows the message about a file or a disk.

    Returns:
        The exit code, see the module.

    Raises:
        SystemExit: what the command line's parser raises.
    """
    mend_streams()
    try:
        try:
            with _readable_width(), StopSignals() as signals, _heard(signals):
                return work(signals) or 0
        finally:
            _flush(sys.stdout)
    except UnicodeEncodeError as error:
        text = ascii(error.object)[:_MOST_SHOWN]
        return _told(f"Error: A name is no text in {error.encoding}, or holds letters it has not: {text}")
    except mistakes as error:
        return _told(f"Error: {error}")
    except BrokenPipeError as error:
        if _has_reader(sys.stdout) and _has_reader(sys.stderr):
            # The pipe was another one.
            return _told(f"Error: {in_words(error)}{reassurance}")
        _drop(sys.stdout)
        return NOBODY_READS
    except OSError as error:
        return _told(f"Error: {in_words(error)}{reassurance}")
    except (Stopped, KeyboardInterrupt) as stopped:
        _end_undisturbed()
        _say(f"\nStopped by {stopped if isinstance(stopped, Stopped) else 'SIGINT'}")
        return stopped.exit_code if isinstance(stopped, Stopped) else 128 + signal.SIGINT
    except Exception as error:
        if not _is_lack_of_memory(error):
            raise
        first_line = next(iter(str(error).splitlines()), "")
        return _told(f"Error: There is too little memory, or disk. {first_line}".rstrip())


def guarded(main: Callable[..., int | None]) -> Callable[..., int]:
    """Return a command's `main`, a function of its arguments, as `run` does its work."""

    @functools.wraps(main)
    def command(arguments: Sequence[str] | None = None) -> int:
        return run(lambda signals: main(arguments))

    return command


def mend_streams() -> None:
    r"""Put the null device where a standard stream is closed, and let any text be written to the others.

    A file that is opened later would else get the number of the stream, and what a library writes there.
    What an encoding does not have, or is no text (the bytes of a name), is written as `\xe9`.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, nowhere)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _readable_width() -> Iterator[None]:
    """Let a help text have columns enough to come to an end."""
    columns = shutil.get_terminal_size().columns
    least, most = _WIDTHS
    if least <= columns <= most:
        yield
        return
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(min(max(columns, least), most))
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


@contextlib.contextmanager
def _heard(signals: StopSignals) -> Iterator[None]:
    """Let no signal be lost where Python can raise nothing.

    In a finalizer, or a callback from C, it prints the exception with a traceback and goes on.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            signals.repeat(unraisable.exc_value.exit_code - 128)
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _leave(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\nStopped by {signal.Signals(number).name}\n".encode())
    # No exception: some of what is imported would catch it.
    os._exit(128 + number)


def _end_undisturbed() -> None:
    # Who presses Ctrl-C twice would else meet Python where it gives signals back to the system.
    for number in stopping():
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.SIG_IGN)


def _told(message: str) -> int:
    _say(message)
    return 2


def _say(message: str) -> None:
    # Who closed the terminal reads nothing any more.
    with contextlib.suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        _drop(stream)
        raise


def _drop(stream: TextIO) -> None:
    """Send what a stream still holds nowhere: Python would complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _has_reader(stream: TextIO) -> bool:
    """Tell whether somebody may still read a stream."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return not any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        # No such call on this system, or no file behind the stream.
        return False


def _is_lack_of_memory(error: Exception) -> bool:
    # By name, as TensorFlow may not be there: it says so of a disk, too.
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
