"""Segments: the YAML files of a project, and who is a member, kept in ClickHouse and told on `segments.changes`.

`library` finds the files, `statements` and `membership` are one evaluation, `keeper` says when there is one.
"""
