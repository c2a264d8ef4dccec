"""Configuration: one tree of pydantic models (``schema``), where its values come from (``load``), and presets."""
