"""The method itself: pure functions on arrays and texts, one file per box of the paper's Fig. 4. No I/O, no models."""
