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
        grid_plan = plan.read(run["start"].task.data.plan)
    except (MetaflowException, KeyError) as error:
        raise NotFoundError(
            "There is no finished run {run_id!r} of GridFlow: {reason}", run_id=run_id, reason=error
        ) from None
    exists = (root / grid_plan.run).is_dir()
    folder = RunFolder.open(root, grid_plan.run)[0] if exists else RunFolder.create(root, grid_plan)
    names, count = {cell.name for cell in grid_plan.cells()}, 0
    records = folder.find_records(names)
    for data in tasks:
        missing = [record for record in data.records if record["cell"] in names and record["cell"] not in records]
        files = data.files if missing else {}  # of a whole task, read anew at each access
        for record in missing:
            folder.adopt(record, files)
        count += len(missing)
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
