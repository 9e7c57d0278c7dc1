"""Pages of the hub's own, drawn from Jinja templates: history, gallery, grid, shared results; and what embeds demos."""
