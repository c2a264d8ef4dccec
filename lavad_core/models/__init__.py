"""The models, each behind a Protocol of :mod:`lavad_core.models.protocols`."""

import os

# Read once, when torch is loaded. Threads that wait for those beside them otherwise spin: that takes processor time and, next
# to other work on the machine, holds up the very threads that they wait for (benchmarks/README.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
