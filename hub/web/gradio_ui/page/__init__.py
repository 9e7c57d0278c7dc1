"""One demo's page: its layout, what it asks, what it does, and what it shows to who comes back."""
