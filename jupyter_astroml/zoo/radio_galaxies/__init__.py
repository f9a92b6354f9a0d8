"""Fanaroff-Riley I, II, compact or bent: a rotation-equivariant CNN trained on FIRST."""
