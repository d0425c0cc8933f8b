"""A page to explore a trained model with: hide frames, see what it makes of the rest, imagine on.

    python -m kvae.explore RUN_FOLDER

`session` computes, `figures`, `rows` and `html` draw what it found, `shelf` keeps the models, `situation` is
what a person has chosen, `answers` says what is shown then, and `page` puts that before them.
"""
