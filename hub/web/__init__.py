"""The doors that browsers and programs come through over HTTP, and the one server that assembles them.

What a request passes is in `middleware`, what it reaches in the other packages; none holds a model or runs one itself.
"""
