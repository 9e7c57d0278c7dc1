"""From the name of weights to a verified folder: sources, downloads, the lock, packing and publishing."""
