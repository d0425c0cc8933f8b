"""What commands catch: mistakes in what the user gave, and trainings that cannot go on."""


class UserError(ValueError):
    """What the user gave cannot work. The message says what, what was received, and what would work."""


class TrainingError(UserError):
    """Training cannot go on; the message says why, and what to try."""
