"""Data sets as they are published: which videos, how long, and what is anomalous in them."""
