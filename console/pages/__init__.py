"""The pages, rendered on the server: one file a page, with its routes and handlers; nothing is kept between requests.

A new page is a file here with a subclass of `site.Page`, a line in `PAGES` (`console/app.py`), a template, and, when
people should find it from everywhere, a line in `site.NAVIGATION`.
"""
