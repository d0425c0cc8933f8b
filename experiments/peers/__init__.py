"""What others measured imputation by, and the KVAE on their very data; see `experiments.peers.__main__`."""
