"""superres."""
