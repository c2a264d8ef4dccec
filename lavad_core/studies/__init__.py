"""Tables of a paper as files: rows are changed settings, columns are metrics (docs/design/studies.md)."""
