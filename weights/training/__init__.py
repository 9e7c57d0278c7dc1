"""What the recipes share: data kept decoded in memory, one small training loop, export."""
