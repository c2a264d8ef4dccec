"""How LAVAD is started: the ``lavad`` command and the private server. Nothing here knows the method."""
