"""Training of the demonstration's models, from scratch, on the small world."""
