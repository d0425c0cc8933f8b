"""Explore on a Hugging Face Space: the trained models, and clips that people bring."""

from kvae.explore.__main__ import serve

if __name__ == "__main__":
    serve("box").block_thread()
