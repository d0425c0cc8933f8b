"""How weights begin."""

import keras


def glorot(seed: keras.random.SeedGenerator) -> keras.initializers.Initializer:
    """Return a Glorot-uniform initializer that draws from the model's own seed generator."""
    return keras.initializers.GlorotUniform(seed=seed)
