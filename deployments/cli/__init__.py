"""The ``lavad`` command: one file for each command or group."""
