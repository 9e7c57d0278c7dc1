"""Pages to begin from, one a task, and what makes a page of them for a repository of the Hub (`making`).

Each is a page as people would write it, but for the words in capitals that `making` fills in.
"""
