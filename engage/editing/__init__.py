"""A segment's YAML changed piece by piece, as an editor with menus does: only the text of what was changed. Pure.

A condition becomes fields (`fields`), fields become what the YAML should say (`Value`), and `spans` changes the text
where the two differ. What has no fields is left exactly as somebody wrote it.
"""
