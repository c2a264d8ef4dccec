"""Files that are scored as they arrive, and what is told about them."""
