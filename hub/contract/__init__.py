"""The contract that every page keeps: inputs to try, what answers must be, and `demo-hub check`, which holds one to it.

tests/demos/test_contract.py runs the same over all pages.
"""
