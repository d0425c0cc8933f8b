"""The KVAE and its rivals, and the networks, dynamics and outputs that they are made of."""
