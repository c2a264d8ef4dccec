"""What a run would cost, before any model is loaded: work by counting, hours by rates, each with its source."""
