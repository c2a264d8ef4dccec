"""One file for each data set: how its published files are read."""
