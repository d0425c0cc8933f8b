"""Models that the KVAE is compared with: the same frames, other dynamics."""

from kvae.models.rivals.recurrent import RecurrentAutoencoder as RecurrentAutoencoder
