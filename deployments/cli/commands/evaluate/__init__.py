"""Commands that measure results against labels."""
