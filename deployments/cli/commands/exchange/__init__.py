"""Commands that read and write other programs' files."""
