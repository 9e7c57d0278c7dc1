"""Coloured shapes from words, a small latent diffusion pipeline: weights, card and recipe."""
