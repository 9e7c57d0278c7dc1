"""What a demo's declaration means: which pages there are, how their inputs are checked and their outputs described."""
