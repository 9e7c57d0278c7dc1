"""Emergency vehicle or not: weights, card and recipe."""
