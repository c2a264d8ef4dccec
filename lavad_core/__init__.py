"""LAVAD: training-free video anomaly detection as a plain library.

Nothing here imports the orchestrator. The layers above are ``tasks``, ``flows`` and ``deployments``.
"""

__version__ = "0.1.0"
