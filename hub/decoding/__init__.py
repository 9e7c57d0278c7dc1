"""From the bytes of a stranger's picture to upright RGB, within bounds of size, time and memory."""
