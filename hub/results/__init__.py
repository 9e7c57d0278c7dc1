"""What one answer is and where it is kept: Result, capsule, receipt, the store in memory and on disk."""
