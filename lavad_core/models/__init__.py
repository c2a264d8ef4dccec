"""The models, each behind a Protocol of :mod:`lavad_core.models.protocols`."""

import os

# Read once, when torch is loaded. Threads that wait for those beside them otherwise spin: next to other work on the machine a
# small model then takes more than twice the processor time (benchmarks/README.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
