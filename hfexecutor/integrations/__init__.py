"""Other libraries' ways of running things in parallel, with jobs as their workers.

Each module needs the library that it is named after, and nothing imports them but their users.
"""
