"""Weather and land use over the Amazon, 17 tags: weights, card and recipe."""
