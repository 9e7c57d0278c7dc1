"""The local Hub of the tests of weights: Spaces are pushed to it."""

from tests.weights.conftest import hub, snapshots, waits

__all__ = ["hub", "snapshots", "waits"]
