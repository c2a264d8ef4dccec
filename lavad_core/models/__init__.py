"""The models, each behind a Protocol of :mod:`lavad_core.models.protocols`."""

import os

# Read once, when torch is loaded. Threads that wait for the others of a product otherwise spin: beside other work on the machine
# a small model then takes more than twice the processor time, and more wall time too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
