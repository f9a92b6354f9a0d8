"""Star or galaxy in one to five bands: a rotation-equivariant CNN on real and simulated cutouts."""
