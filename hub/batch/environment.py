"""What Metaflow has to know before it is imported: who runs, where its files go, and that it asks nobody elsewhere."""

from __future__ import annotations

import getpass
import os

from hub.settings import from_environment


def prepare() -> None:
    """Sets what the environment does not say; Metaflow's own default for datastore and metadata is this machine.

    Raises HubError for a setting of the hub that is not valid.
    """
    here = from_environment().data_folder / "metaflow"
    user = getpass.getuser()
    usual = {
        "METAFLOW_USER": user if user != "root" else "hub",  # it refuses to run as root
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(here),
        "METAFLOW_CARD_LOCALROOT": str(here / ".metaflow" / "mf.cards"),
        "METAFLOW_DISABLE_TRACING": "1",
    }
    here.mkdir(parents=True, exist_ok=True)
    for name, value in usual.items():
        os.environ.setdefault(name, value)
