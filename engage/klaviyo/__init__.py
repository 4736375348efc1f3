"""From Klaviyo's segments and flows, as its API gives them, to Tillstream's YAML. Pure: values in, values out.

What has no counterpart here is refused by its place in the JSON and the reason; nothing is left out in silence.
"""
