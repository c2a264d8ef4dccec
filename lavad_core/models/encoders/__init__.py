"""Encoders: images, texts and clips to vectors of one space (paper Sec. 3.3). One of the user's own needs nothing here:
``kind: python`` (docs/design/captioners.md)."""
