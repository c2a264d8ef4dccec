"""Other ways from frames to scores than the paper's own: the arithmetic of each, pure (docs/design/recipes.md)."""
