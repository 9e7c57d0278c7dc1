"""Commands over what a hub keeps: the history, links, corrections."""
