"""What stands on an aerial tile, 17 labels: weights, card and recipe."""
