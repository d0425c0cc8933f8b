"""What is timed: each a script that prints one table."""

import kvae  # noqa: F401  First, for what it tells TensorFlow before that is imported.
