"""A small world of rendered surveillance clips, and small models that know only this world."""
