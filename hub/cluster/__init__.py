"""The executor on Ray Serve: doors stay in the hub's process, models live in replicas on one machine or many."""
