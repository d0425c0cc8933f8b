"""What a trained model does with one clip: fill it in, continue it, follow it live."""
