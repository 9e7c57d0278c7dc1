"""What a good engineer would write by hand in ten minutes: the other side of every comparison."""
