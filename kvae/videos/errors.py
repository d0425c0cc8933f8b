"""What is wrong with videos."""

from kvae.errors import UserError


class VideoError(UserError):
    """A video, or a folder of videos, that cannot be used; the message names it and says why."""


class TooLongError(VideoError):
    """A video has more frames than were asked for."""
