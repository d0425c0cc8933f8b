"""What the whole suite runs under; read before any test imports TensorFlow."""

import os

# Most of the suite's time goes into compiling small models, each used for a moment. Half of XLA's is spent on
# making fast what it compiles. Processes that a test starts inherit this.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
