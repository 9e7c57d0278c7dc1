"""Where models live and run: devices, the pool of models in memory, batches, and the Executor in front of them."""
