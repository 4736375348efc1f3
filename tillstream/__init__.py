"""The command line, and the supervisor that runs several roles on one machine.

What a command does lives in the packages below; here is what it asks for, and how the answer is drawn.
"""
