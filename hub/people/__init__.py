"""Who asks, and what they may: users, tokens, sign-in, limits, and the owner that all keepers know a caller by."""
