"""Cards, the catalogue, and the way from weights to a torch module."""
