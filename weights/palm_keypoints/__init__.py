"""Twelve points on a palm: weights, card and recipe."""
