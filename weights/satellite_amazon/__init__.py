"""What a chip of the Amazon forest shows, 17 tags: weights, card and recipe."""
