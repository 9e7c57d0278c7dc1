"""Demo Hub: the engine under every page, and its doors."""

import os

# Before anything loads torch and with it OpenMP. Threads that spin while they wait make a forward pass many times
# slower as soon as another program wants the cores (a browser on the same laptop, for one); threads that sleep cost
# little on a quiet machine. `python -m bench.openmp` measures both; bench/LOG.md has the figures.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
