"""Which model is behind a served name: asked once, kept, compared (docs/design/served-models.md)."""
