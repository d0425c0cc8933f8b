"""Dataset files and shards, safe reading of archives, masks, and batches for training."""

from kvae.data.dataset import DataError as DataError
from kvae.data.dataset import Dataset as Dataset
from kvae.data.dataset import load as load
