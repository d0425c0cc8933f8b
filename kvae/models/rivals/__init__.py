"""Models that the KVAE is compared with: the same frames, other dynamics."""

from kvae.models.rivals.dmm import DeepMarkovModel as DeepMarkovModel
from kvae.models.rivals.dvbf import DeepVariationalBayesFilter as DeepVariationalBayesFilter
from kvae.models.rivals.recurrent import RecurrentAutoencoder as RecurrentAutoencoder
