"""Mass of a strong lens from its image: Einstein radius, ellipticity and centre with covariance."""
