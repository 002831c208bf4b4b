"""compositing."""
