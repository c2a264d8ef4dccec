"""Video input: what a path holds (probe), which frames are wanted, and the frames themselves (decode)."""
