"""Which models can be explored. Imports no TensorFlow."""

import os

from kvae.errors import UserError


def check(kind: str, path: str | os.PathLike) -> None:
    """Raise UserError where a model of this kind has no state space model to explore.

    Args:
        kind: the option `model` of its run.
        path: what the message calls it.
    """
    if kind != "kvae":
        raise UserError(
            f"{path} is a run of {kind}, which has no state space model to explore: name the folder of a run "
            "with --model kvae"
        )
