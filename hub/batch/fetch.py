"""Brings the pictures that a flow carried in its datastore into this hub's gallery: `python hub/batch/fetch.py RUN_ID`.

For tasks that ran where no disk is shared (`--carry true`, on Kubernetes or AWS Batch). RUN_ID is Metaflow's.
"""

# ruff: noqa: E402 - as in flow.py
from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from hub.batch import environment, grid, plan
from hub.batch.folder import RunFolder
from hub.errors import HubError, NotFoundError
from hub.settings import from_environment


def fetch(run_id: str, root: Path) -> tuple[RunFolder, int]:
    """Writes what is not in `root/<run>` yet; returns the folder and how many cells that were. Raises HubError."""
    environment.prepare()
    from metaflow import Run, namespace
    from metaflow.exception import MetaflowException

    namespace(None)  # of whoever ran it
    try:
        run = Run(f"GridFlow/{run_id}")
        tasks = [task.data for task in run["draw"]]
        made = plan.read(run["start"].task.data.plan)
    except (MetaflowException, KeyError) as error:
        raise NotFoundError(
            "There is no finished run {run_id!r} of GridFlow: {reason}", run_id=run_id, reason=error
        ) from None
    here = (root / made.run).is_dir()
    folder = RunFolder.open(root, made.run)[0] if here else RunFolder.create(root, made)
    known, count = {cell.name for cell in made.cells()}, 0
    done = folder.done(known)
    for data in tasks:
        wanted = [record for record in data.records if record["cell"] in known and record["cell"] not in done]
        files = data.files if wanted else {}  # of a whole task, read anew at each access
        for record in wanted:
            folder.adopt(record, files)
        count += len(wanted)
    return folder, count


def main() -> int:
    """Fetches one run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fetch.py", description="Bring a flow's pictures into the gallery.")
    parser.add_argument("run", metavar="RUN_ID", help="Metaflow's number of the run")
    try:
        folder, count = fetch(parser.parse_args().run, grid.root(from_environment()))
    except HubError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    print(f"{count} cells brought to {folder.path}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
