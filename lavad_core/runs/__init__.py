"""What a run did: times, memory, work and outcomes, in ``<store>/runs/``, outside the compared tree of results."""
