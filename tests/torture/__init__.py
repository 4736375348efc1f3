"""Everything at once on the real parts, several of each, while all of them are killed, paused and cut off."""
