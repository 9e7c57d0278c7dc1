"""Demo Hub: the engine under every page, and its doors."""

import os

# Before anything loads torch and with it OpenMP. By default its threads spin for milliseconds while they wait for each
# other, and a forward pass takes up to many times longer as soon as another program wants the cores (a browser on the
# same laptop, for one). Spinning briefly keeps nearly all of the speed and bounds the loss: `python -m bench.openmp`
# measures it, bench/LOG.md has the figures.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
