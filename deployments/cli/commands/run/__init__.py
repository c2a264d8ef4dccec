"""Commands that make results."""
