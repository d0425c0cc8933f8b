"""What commands catch: mistakes in what the user gave, and trainings that cannot go on."""

import os


class UserError(ValueError):
    """What the user gave cannot work. The message says what, what was received, and what would work."""


class TrainingError(UserError):
    """Training cannot go on; the message says why, and what to try."""


def in_words(error: Exception) -> str:
    """Return what an error says to who reads no Python: of the system's, which file, and what is wrong.

    Example:
        >>> in_words(FileNotFoundError(2, "No such file or directory", "data/box.npz"))
        'data/box.npz: no such file or directory'
    """
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    reason = error.strerror[:1].lower() + error.strerror[1:]
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return f"{' and '.join(names)}: {reason}" if names else reason
