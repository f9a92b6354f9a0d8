"""Strong gravitational lenses in gri colour pictures of CFHTLS: symmetric residual networks."""
