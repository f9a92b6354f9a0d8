"""Real or bogus: a rotation-equivariant CNN on science, template and difference images."""
