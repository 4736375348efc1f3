"""Mails from templates: Jinja in a sandbox, Klaviyo-like names, HTML with its styles inlined and text made from it.

No I/O but reading template files: who sends what to whom is the business of `engage/flows`.
"""
