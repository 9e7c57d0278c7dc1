"""Bundled model repositories, the recipes which made them, and the command which measures them."""
