"""Mails from templates: Jinja in a sandbox, Klaviyo-like names, HTML with its styles inlined and text made from it.

Ask `rendering.Library`. Templates themselves run in a process of their own (`child`, started and replaced by
`renderer`); only `short` texts are worked out in place. Who sends what to whom is the business of `engage/flows`.
"""
