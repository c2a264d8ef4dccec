"""Video input: what a path holds (probe), which frames to take (plan, in ``method``), and the frames (decode)."""
