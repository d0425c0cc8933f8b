"""One's own videos: where they lie, their frames, the dataset made of them. Imports no TensorFlow."""
