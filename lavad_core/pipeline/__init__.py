"""The planning of work: which stages a configuration needs, the key of each result, which results exist, and running one
stage."""
