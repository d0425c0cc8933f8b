"""The Kalman variational auto-encoder (Fraccaro et al., NIPS 2017) on TensorFlow 2 and Keras 3."""
