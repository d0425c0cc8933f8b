"""The commands that are no room's own, and what `kvae` calls. Nothing of the package imports this room."""
