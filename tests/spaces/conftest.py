"""The local Hub of the tests of weights: Spaces are pushed to it."""

from tests.weights.conftest import hub_server, snapshots, waits

__all__ = ["hub_server", "snapshots", "waits"]
