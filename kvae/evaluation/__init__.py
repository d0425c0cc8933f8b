"""How good a trained model is: its bound, errors on hidden frames, and its pictures."""
