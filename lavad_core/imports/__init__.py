"""Readers of results and labels made elsewhere. Each says what is wrong with a file, and where."""
