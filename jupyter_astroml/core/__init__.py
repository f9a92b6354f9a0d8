"""The words that all rooms share: records, errors, jobs, settings and units."""
