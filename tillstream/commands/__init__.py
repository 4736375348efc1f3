"""The commands, a small module a group; each function is one command and its docstring the help."""
