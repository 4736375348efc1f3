"""Where messages go: one small interface, and a file for each way. To add one, write a class with `send`."""
