"""The only way to a prediction: a run's checks, capsule, stored answers, jobs, comparison. Keepers hear of each run."""
