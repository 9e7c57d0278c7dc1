"""The served hub of the guard's tests."""

from tests.web.middleware.test_guard import served

__all__ = ["served"]
