"""Results as Parquet with a commit, one folder per stage, video and fingerprint (docs/design/store.md)."""
