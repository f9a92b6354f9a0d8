"""Clients of archives: query, rows, references, bytes, samples."""
