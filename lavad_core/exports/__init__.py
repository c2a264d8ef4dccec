"""Results for other programs: tables, segments, and the layout of the authors' program."""
