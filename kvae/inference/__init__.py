"""Pure functions on tensors: filters, smoothers, particles. No Keras, no options."""
