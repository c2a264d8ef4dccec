"""The planning of work: which stages a configuration needs, the key of each result, what is there, and running one."""
