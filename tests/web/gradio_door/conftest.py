"""The served hub of the guard's tests."""

from tests.web.middleware.test_guard import hub

__all__ = ["hub"]
