"""ImageBind's vision and text towers, written from the paper's and the checkpoint's shapes (docs/design/encoders.md)."""
