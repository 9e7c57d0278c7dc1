"""What the OpenAPI document says of each noun: shapes of answers, and operations."""
