"""Pages and pictures that show results: read from a store, drawn by matplotlib, written as one HTML file."""
