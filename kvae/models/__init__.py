"""The KVAE and its rivals, and the networks, dynamics and outputs that they are made of."""

from kvae.system.keras_settings import check_backend

# Before anything here imports Keras, which would fail on what another backend lacks.
check_backend()
