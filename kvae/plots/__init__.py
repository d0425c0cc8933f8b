"""Figures, films and contact sheets: from arrays to pictures. Imports no TensorFlow."""
