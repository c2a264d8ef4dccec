"""The version of this program: a module of its own, so that nothing imports the whole library to name it."""

__version__ = "0.1.0"
