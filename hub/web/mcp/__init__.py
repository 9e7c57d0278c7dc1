"""The hub as a server of tools for agents: one tool per demo, over HTTP or stdio."""
