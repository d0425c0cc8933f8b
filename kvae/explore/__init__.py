"""A page to explore a trained model with: hide frames, see what it makes of the rest, imagine on.

    python -m kvae.explore RUN_FOLDER

`session` computes, `figures` and `html` draw what it found, `page` puts that before a person.
"""
