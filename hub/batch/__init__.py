"""Many runs in one go: grids, large and small, their folders and workers, and the Metaflow flow."""
