"""Commands of whoever writes pages."""
