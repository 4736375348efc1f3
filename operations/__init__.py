"""What reaches into several roles: replaying, rebuilding, merging, erasing, growing, trying dead letters again.

The roles know nothing of it; the command line and the console call it.
"""
