"""What can be wrong with an installation, by name: `facts` (what is so), `rules*` (pure: is that right?), `gather*`."""
