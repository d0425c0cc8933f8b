"""How a model is trained: loop, schedule, records, refinement, on one device or several."""
