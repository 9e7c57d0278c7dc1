"""Age from a face: weights, card and recipe."""
