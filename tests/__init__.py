import kvae  # noqa: F401  First, for what it tells TensorFlow before that is imported.
