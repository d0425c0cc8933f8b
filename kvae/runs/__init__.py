"""A run's folder: its options, model, checkpoint, TensorBoard events, and what it exports."""
