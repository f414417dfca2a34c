"""Running localization over sets of recorded incidents: cases, the look, peers, perturbations."""
