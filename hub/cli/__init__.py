"""The commands of `demo-hub`, one file each."""
