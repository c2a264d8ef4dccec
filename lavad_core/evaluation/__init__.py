"""Metrics of a set of results against a data set's labels, with the protocol that they were computed by."""
