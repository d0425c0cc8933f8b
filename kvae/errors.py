"""The one thing that commands catch: a mistake in what the user gave."""


class UserError(ValueError):
    """What the user gave cannot work. The message says what, what was received, and what would work."""
