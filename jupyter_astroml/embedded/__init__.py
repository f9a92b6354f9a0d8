"""The embedded archive: a Virtual Observatory service in one process, on loopback."""
