"""The installed package: what stands on ``lavad_core``, under one name, so that nothing called ``tasks`` or ``flows`` is at the
top of a user's environment.

The parts are folders of the repository's root; here are links to them, which the wheel follows.
"""
