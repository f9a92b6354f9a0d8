"""Bundled models: one folder each, announced by an entry point."""
