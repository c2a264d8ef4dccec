"""Chat models: Φ_LLM of the paper. One of the user's own needs nothing here: ``kind: python`` (docs/design/captioners.md)."""
