"""The orders in which tasks are taken. No input or output here: flows call tasks."""
