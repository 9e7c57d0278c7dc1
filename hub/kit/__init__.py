"""What pages are made with: networks, faces, hands, drawings, diffusion.

Of the hub, a demo imports `hub.spec`, `hub.images` and `hub.kit` only: all else may change with any version.
"""
