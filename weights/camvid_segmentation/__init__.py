"""Street scenes, eleven classes: weights, card and recipe."""
