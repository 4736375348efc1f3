"""The command line, the settings, and the supervisor that runs several roles on one machine.

The only package that may import every room. Business rules live in the rooms, never here.
"""
