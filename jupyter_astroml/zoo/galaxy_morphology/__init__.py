"""Elliptical, edge-on, spiral or merger: a rotation-equivariant CNN trained on Galaxy Zoo votes."""
