"""LAVAD: training-free video anomaly detection as a plain library.

Nothing here imports the orchestrator. The layers above are ``tasks``, ``flows`` and ``deployments``.
"""

from lavad_core.version import __version__ as __version__
