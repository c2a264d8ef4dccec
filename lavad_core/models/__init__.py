"""The models, each behind a Protocol of :mod:`lavad_core.models.protocols`."""
