"""The Demo Hub: the ground under all wings (errors, settings, texts, files), and `Hub`, which builds the wings."""
