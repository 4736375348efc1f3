"""Segments, flows, templates and brand as revisions that every machine shares, and the project's folder as their files.

`keeping` saves and reads; nothing below it knows what a flow or a segment means but `readable`.
"""
