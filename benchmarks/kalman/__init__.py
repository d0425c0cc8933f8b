"""Kalman filters and smoothers against the length of the sequence: `python -m benchmarks.kalman`."""
