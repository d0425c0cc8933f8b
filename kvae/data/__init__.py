"""Dataset files and shards, safe reading of archives, masks, and batches for training.

No TensorFlow, but in `kvae.data.batches` and `kvae.data.pixels`.
"""

from kvae.data.dataset import DataError as DataError
from kvae.data.dataset import Dataset as Dataset
from kvae.data.dataset import load as load
from kvae.data.dataset import read_classes as read_classes
from kvae.data.shards import Shards as Shards
