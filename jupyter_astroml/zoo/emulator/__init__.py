"""The network of spectral emulators such as the Payne, whose published weights are imported."""
