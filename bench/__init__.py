"""Side-by-side measurements of the hub against what one would write by hand. `python -m bench --help`."""
