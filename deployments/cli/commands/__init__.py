"""The commands, in the panels of ``lavad --help``: a folder for each panel, a file for each command or group."""
