"""ASGI layers that every request passes before a route: who asks, from where, in which language, how much.

What holds for all routes alike is decided here, and never again in a route.
"""
