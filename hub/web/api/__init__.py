"""REST under /api/v1, one module a noun, and the OpenAPI document that promises what it answers."""
