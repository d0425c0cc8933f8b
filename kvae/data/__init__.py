"""Dataset files and shards, safe reading of archives, masks, and batches for training."""
