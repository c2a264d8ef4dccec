"""The scores of a set of videos, wherever they come from: a run of this program, or somebody else's files."""
