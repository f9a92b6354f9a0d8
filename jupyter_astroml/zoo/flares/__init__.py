"""Stellar flares in TESS 2-minute light curves: the CNN of Feinstein et al. 2020, our training."""
